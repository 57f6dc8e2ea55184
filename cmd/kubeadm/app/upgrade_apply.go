package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/workflow"
)

func newUpgradeApply(env Env) *cobra.Command {
	f := &upgradeFlags{}
	list := applyPhases()
	load := func(cmd *cobra.Command, args []string) (*applyData, error) {
		d, err := f.load(cmd.Context(), env, cmd, args, func(c *config.UpgradeConfiguration) string { return c.Apply.KubernetesVersion })
		if err != nil {
			return nil, err
		}
		a := d.config.Apply
		merge(cmd.Flags(), "certificate-renewal", &f.renew, &a.CertificateRenewal)
		merge(cmd.Flags(), "etcd-upgrade", &f.etcd, &a.EtcdUpgrade)
		merge(cmd.Flags(), "skip-phases", f.skip, &a.SkipPhases)
		d.DryRun = d.DryRun || a.DryRun
		d.force = d.force || a.ForceUpgrade
		d.yes = d.yes || a.ForceUpgrade
		if a.Patches != nil && d.PatchesDir == "" {
			d.PatchesDir = a.Patches.Directory
		}
		d.ignore = append(d.ignore, a.IgnorePreflightErrors...)
		d.useImages(a.ImagePullPolicy, a.ImagePullSerial)
		if f.printConfig || a.PrintConfig {
			if err := d.printConfig(); err != nil {
				return nil, err
			}
		}
		return &applyData{upgradeData: d, apply: a, experimental: f.experimental || a.AllowExperimentalUpgrades, candidates: f.candidates || a.AllowRCUpgrades}, nil
	}
	cmd := &cobra.Command{
		Use:   "apply [version]",
		Short: "Upgrade your Kubernetes cluster to the specified version",
		Long:  "Upgrade your Kubernetes cluster to the specified version\n\n" + list.Usage("apply [version]"),
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && f.file == "" {
				return invalid{fmt.Errorf("missing the version to upgrade to, for example %s", config.Release())}
			}
			d, err := load(cmd, args)
			if err != nil {
				return err
			}
			if err := list.Run(cmd.Context(), d, d.apply.SkipPhases); err != nil {
				return err
			}
			if d.DryRun {
				fmt.Fprintln(env.Out, "[dryrun] Finished dryrunning successfully!")
				return nil
			}
			fmt.Fprintf(env.Out, "\n[upgrade] SUCCESS! A control plane node of your cluster was upgraded to %q.\n\n[upgrade] Now please proceed with upgrading the rest of the nodes by following the right order.\n", d.target)
			return nil
		},
	}
	add := func(c *cobra.Command) {
		f.add(c.Flags())
		f.addPolicy(c.Flags())
		f.addChange(c.Flags())
		c.Flags().BoolVarP(&f.yes, "yes", "y", false, "Perform the upgrade and do not prompt for confirmation (non-interactive mode).")
		c.Flags().BoolVarP(&f.force, "force", "f", false, "Force upgrading although some requirements might not be met. This also implies non-interactive mode.")
	}
	add(cmd)
	cmd.AddCommand(list.Command("apply", func(c *cobra.Command) { c.Flags().AddFlagSet(cmd.Flags()) }, load))
	return cmd
}

// applyData is what the phases of upgrade apply work on.
type applyData struct {
	*upgradeData
	apply                    config.UpgradeApply
	experimental, candidates bool
}

// applyPhases is `kubeadm upgrade apply`, step by step.
func applyPhases() workflow.Workflow[*applyData] {
	return workflow.Workflow[*applyData]{
		{Name: "preflight", Short: "Run preflight checks before upgrade", Run: func(ctx context.Context, d *applyData) error {
			if err := d.preflight(ctx); err != nil {
				return err
			}
			fmt.Fprintf(d.Out, "[upgrade/version] You have chosen to upgrade the cluster version to %q\n[upgrade/versions] Cluster version: %s\n[upgrade/versions] kubeadm version: %s\n", d.target, d.current, config.Release())
			if err := d.checkPolicy(d.experimental, d.candidates); err != nil {
				return err
			}
			return d.confirm("Are you sure you want to proceed?")
		}},
		{Name: "control-plane", Short: "Upgrade the control plane", Run: func(ctx context.Context, d *applyData) error {
			return d.controlPlane(ctx, d.target, *d.apply.CertificateRenewal, *d.apply.EtcdUpgrade)
		}},
		{Name: "upload-config", Short: "Upload the kubeadm and kubelet configurations to ConfigMaps", Together: true, Phases: []workflow.Phase[*applyData]{
			{Name: "kubeadm", Short: "Upload the kubeadm ClusterConfiguration to a ConfigMap", Run: func(ctx context.Context, d *applyData) error {
				if d.DryRun {
					return nil
				}
				d.Cluster.KubernetesVersion = d.target
				return d.UploadConfig(ctx, d.client)
			}},
			{Name: "kubelet", Short: "Upload the kubelet configuration to a ConfigMap", Run: func(ctx context.Context, d *applyData) error {
				if d.DryRun {
					return nil
				}
				return d.UploadKubeletConfig(ctx, d.client)
			}},
		}},
		{Name: "kubelet-config", Short: "Upgrade the kubelet configuration for this node", Run: func(ctx context.Context, d *applyData) error { return d.kubeletConfig(ctx) }},
		{Name: "bootstrap-token", Short: "Configures bootstrap token and cluster-info RBAC rules", Run: func(ctx context.Context, d *applyData) error {
			if d.DryRun {
				return nil
			}
			return d.BootstrapRules(ctx, d.client)
		}},
		{Name: "addon", Short: "Upgrade the default kubeadm addons", Together: true, Phases: []workflow.Phase[*applyData]{
			upgradeAddon("podnet", phases.PodNet), upgradeAddon("coredns", phases.CoreDNS), upgradeAddon("kube-proxy", phases.KubeProxy),
		}},
	}
}

// upgradeAddon upgrades an add-on that is installed; one that was skipped stays away.
func upgradeAddon(name, file string) workflow.Phase[*applyData] {
	return workflow.Phase[*applyData]{Name: name, Short: "Upgrade the " + name + " addon", Run: func(ctx context.Context, d *applyData) error {
		installed, err := d.AddonInstalled(ctx, d.client, file)
		if err != nil {
			return err
		}
		if !installed {
			fmt.Fprintf(d.Out, "[upgrade/addon] Skipping %s: it is not installed\n", name)
			return nil
		}
		if d.DryRun {
			fmt.Fprintf(d.Out, "[dryrun] Would upgrade addon %s\n", name)
			return nil
		}
		d.Cluster.KubernetesVersion = d.target
		return d.InstallAddon(ctx, d.client, file)
	}}
}

// controlPlane rewrites this node's static pods for a version.
func (d *upgradeData) controlPlane(ctx context.Context, version string, renew, etcd bool) error {
	fmt.Fprintf(d.Out, "[upgrade/control-plane] Upgrading your static Pod-hosted control plane to version %q...\n", version)
	d.Cluster.KubernetesVersion = version
	upgrade := &phases.Upgrade{Node: d.Node, Pods: phases.MirrorPods{Client: d.client, Node: d.Registration.Name}, RenewCerts: renew, UpgradeEtcd: etcd}
	return upgrade.ControlPlane(ctx)
}

// kubeletConfig rewrites this node's kubelet configuration from the cluster's and its own part.
func (d *upgradeData) kubeletConfig(ctx context.Context) error {
	if d.DryRun {
		fmt.Fprintln(d.Out, "[dryrun] Would write the kubelet configuration and restart the kubelet")
		return nil
	}
	return d.RefreshKubelet(ctx)
}
