package app

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"text/tabwriter"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/preflight"
)

func newUpgradePlan(env Env) *cobra.Command {
	f := &upgradeFlags{}
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "plan [version] [flags]",
		Short: "Check which versions are available to upgrade to and validate whether your current cluster is upgradeable",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			result := env.Out
			if output != "text" {
				env.Out = env.Err // the result stands alone
			}
			d, err := f.load(cmd.Context(), env, cmd, args, func(c *config.UpgradeConfiguration) string { return c.Plan.KubernetesVersion })
			if err != nil {
				return err
			}
			ignore := append(d.ignore, d.config.Plan.IgnorePreflightErrors...)
			if err := preflight.Run(cmd.Context(), d.clusterChecks(), ignore, d.Out); err != nil {
				return err
			}
			if err := d.checkPolicy(f.experimental || d.config.Plan.AllowExperimentalUpgrades, f.candidates || d.config.Plan.AllowRCUpgrades); err != nil {
				return err
			}
			merge(cmd.Flags(), "etcd-upgrade", &f.etcd, &d.config.Plan.EtcdUpgrade)
			if f.printConfig || d.config.Plan.PrintConfig {
				if err := d.printConfig(); err != nil {
					return err
				}
			}
			p, err := d.plan(cmd.Context())
			if err != nil {
				return err
			}
			if output != "text" {
				return output.print(result, p)
			}
			return d.show(p)
		},
	}
	f.add(cmd.Flags())
	f.addPolicy(cmd.Flags())
	output.add(cmd.Flags())
	cmd.Flags().BoolVar(&f.etcd, "etcd-upgrade", true, "Perform the upgrade of etcd.")
	return cmd
}

// upgradePlan is the UpgradePlan of the output API.
type upgradePlan struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Available  []availableUpgrade `json:"availableUpgrades"`
	Configs    []any              `json:"configVersions"` // no component's configuration needs an upgrade by hand
}

type availableUpgrade struct {
	Description string             `json:"description"`
	Components  []componentUpgrade `json:"components"`
}

type componentUpgrade struct {
	Name    string `json:"name"`
	Current string `json:"currentVersion"`
	New     string `json:"newVersion"`
	Node    string `json:"nodeName,omitempty"`
}

// plan gathers what runs now and what an upgrade would bring.
func (d *upgradeData) plan(ctx context.Context) (*upgradePlan, error) {
	nodes, err := d.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	sort.Slice(nodes.Items, func(i, j int) bool { return nodes.Items[i].Name < nodes.Items[j].Name })
	after := d.Cluster.DeepCopy()
	after.KubernetesVersion = d.target
	now, then := config.ImagesOf(d.Cluster), config.ImagesOf(after)
	up := availableUpgrade{Description: "version " + d.target}
	add := func(name, node, current, next string) {
		up.Components = append(up.Components, componentUpgrade{name, current, next, node})
	}
	for _, node := range nodes.Items {
		if _, ok := node.Labels[config.LabelControlPlane]; !ok {
			continue
		}
		for _, name := range []string{phases.APIServer, phases.ControllerManager, phases.Scheduler} {
			add(name, node.Name, d.current, d.target)
		}
		if then.Etcd != "" && *d.config.Plan.EtcdUpgrade {
			add(phases.Etcd, node.Name, tagOf(now.Etcd), tagOf(then.Etcd))
		}
	}
	add(phases.KubeProxy, "", tagOf(now.Proxy), tagOf(then.Proxy))
	add("CoreDNS", "", tagOf(now.CoreDNS), tagOf(then.CoreDNS))
	for _, node := range nodes.Items {
		add(kubeletComponent, node.Name, node.Status.NodeInfo.KubeletVersion, d.target)
	}
	return &upgradePlan{APIVersion: outputAPI, Kind: "UpgradePlan", Available: []availableUpgrade{up}, Configs: []any{}}, nil
}

// kubeletComponent is upgraded by hand, node by node.
const kubeletComponent = "kubelet"

// show prints a plan for people.
func (d *upgradeData) show(p *upgradePlan) error {
	fmt.Fprintf(d.Out, "[upgrade/versions] Cluster version: %s\n[upgrade/versions] kubeadm version: %s\n[upgrade/versions] Target version: %s\n\n", d.current, config.Release(), d.target)
	components := p.Available[0].Components
	if !slices.ContainsFunc(components, func(c componentUpgrade) bool { return c.Current != c.New }) {
		fmt.Fprintln(d.Out, "Awesome, you're up-to-date! Enjoy!")
		return nil
	}
	table := tabwriter.NewWriter(d.Out, 10, 4, 3, ' ', 0)
	rows := func(kubelets bool) {
		fmt.Fprintln(table, "COMPONENT\tNODE\tCURRENT\tTARGET")
		for _, c := range components {
			if (c.Name == kubeletComponent) == kubelets {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Name, c.Node, c.Current, c.New)
			}
		}
	}
	fmt.Fprintln(table, "Components that must be upgraded manually after you have upgraded the control plane with 'kubeadm upgrade apply':")
	rows(true)
	fmt.Fprintf(table, "\nUpgrade to version %s:\n\n", d.target)
	rows(false)
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(d.Out, "\nYou can now apply the upgrade by executing the following command:\n\n\tkubeadm upgrade apply %s\n", d.target)
	return nil
}

// tagOf returns what stands behind the last colon of an image name.
func tagOf(image string) string {
	for i := len(image) - 1; i >= 0; i-- {
		if image[i] == ':' {
			return image[i+1:]
		}
	}
	return image
}
