package app

import (
	"context"
	"fmt"
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
	cmd := &cobra.Command{
		Use:   "plan [version] [flags]",
		Short: "Check which versions are available to upgrade to and validate whether your current cluster is upgradeable",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
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
			return d.plan(cmd.Context())
		},
	}
	f.add(cmd.Flags())
	f.addPolicy(cmd.Flags())
	cmd.Flags().BoolVar(&f.etcd, "etcd-upgrade", true, "Perform the upgrade of etcd.")
	return cmd
}

// plan prints what runs now and what an upgrade would bring.
func (d *upgradeData) plan(ctx context.Context) error {
	fmt.Fprintf(d.Out, "[upgrade/versions] Cluster version: %s\n[upgrade/versions] kubeadm version: %s\n[upgrade/versions] Target version: %s\n\n", d.current, config.Release(), d.target)
	nodes, err := d.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	after := d.Cluster.DeepCopy()
	after.KubernetesVersion = d.target
	now, then := config.ImagesOf(d.Cluster), config.ImagesOf(after)
	if d.current == d.target && now == then {
		fmt.Fprintln(d.Out, "Awesome, you're up-to-date! Enjoy!")
	}
	table := tabwriter.NewWriter(d.Out, 10, 4, 3, ' ', 0)
	fmt.Fprintln(table, "Components that must be upgraded manually after you have upgraded the control plane with 'kubeadm upgrade apply':")
	fmt.Fprintln(table, "COMPONENT\tNODE\tCURRENT\tTARGET")
	sort.Slice(nodes.Items, func(i, j int) bool { return nodes.Items[i].Name < nodes.Items[j].Name })
	for _, node := range nodes.Items {
		fmt.Fprintf(table, "kubelet\t%s\t%s\t%s\n", node.Name, node.Status.NodeInfo.KubeletVersion, d.target)
	}
	fmt.Fprintf(table, "\nUpgrade to version %s:\n\n", d.target)
	fmt.Fprintln(table, "COMPONENT\tNODE\tCURRENT\tTARGET")
	for _, node := range nodes.Items {
		if _, ok := node.Labels[config.LabelControlPlane]; !ok {
			continue
		}
		for _, name := range []string{phases.APIServer, phases.ControllerManager, phases.Scheduler} {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, node.Name, d.current, d.target)
		}
		if then.Etcd != "" {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", phases.Etcd, node.Name, tagOf(now.Etcd), tagOf(then.Etcd))
		}
	}
	fmt.Fprintf(table, "%s\t\t%s\t%s\n", phases.KubeProxy, tagOf(now.Proxy), tagOf(then.Proxy))
	fmt.Fprintf(table, "CoreDNS\t\t%s\t%s\n", tagOf(now.CoreDNS), tagOf(then.CoreDNS))
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
