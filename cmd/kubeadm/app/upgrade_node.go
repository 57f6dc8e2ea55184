package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/preflight"
	"pilotis.dev/cmd/kubeadm/workflow"
)

// nodeData is what the phases of upgrade node work on.
type nodeData struct {
	*upgradeData
	node config.UpgradeNode
}

func newUpgradeNode(env Env) *cobra.Command {
	f := &upgradeFlags{}
	list := nodePhases()
	load := func(cmd *cobra.Command, args []string) (*nodeData, error) {
		// A node becomes what the cluster's configuration says; upgrade apply has written the version there.
		d, err := f.load(cmd.Context(), env, cmd, args, func(*config.UpgradeConfiguration) string { return "" })
		if err != nil {
			return nil, err
		}
		d.target = d.current
		n := d.config.Node
		merge(cmd.Flags(), "certificate-renewal", &f.renew, &n.CertificateRenewal)
		merge(cmd.Flags(), "etcd-upgrade", &f.etcd, &n.EtcdUpgrade)
		merge(cmd.Flags(), "skip-phases", f.skip, &n.SkipPhases)
		d.DryRun = d.DryRun || n.DryRun
		if n.Patches != nil && d.PatchesDir == "" {
			d.PatchesDir = n.Patches.Directory
		}
		d.ignore = append(d.ignore, n.IgnorePreflightErrors...)
		d.useImages(n.ImagePullPolicy, n.ImagePullSerial)
		return &nodeData{upgradeData: d, node: n}, nil
	}
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Upgrade commands for a node in the cluster",
		Long:  "Upgrade commands for a node in the cluster\n\n" + list.Usage("node"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := load(cmd, args)
			if err != nil {
				return err
			}
			if err := list.Run(cmd.Context(), d, d.node.SkipPhases); err != nil {
				return err
			}
			fmt.Fprintln(env.Out, "[upgrade] The configuration for this node was successfully updated!\n[upgrade] Now you should go ahead and upgrade the kubelet package using your package manager.")
			return nil
		},
	}
	f.add(cmd.Flags())
	f.addChange(cmd.Flags())
	cmd.AddCommand(list.Command("node", func(c *cobra.Command) { c.Flags().AddFlagSet(cmd.Flags()) }, load))
	return cmd
}

// nodePhases is `kubeadm upgrade node`, step by step.
func nodePhases() workflow.Workflow[*nodeData] {
	return workflow.Workflow[*nodeData]{
		{Name: "preflight", Short: "Run upgrade node pre-flight checks", Run: func(ctx context.Context, d *nodeData) error {
			if err := preflight.Run(ctx, []preflight.Check{preflight.Root(d.env.Host)}, d.ignore, d.Out); err != nil || !d.IsControlPlane() {
				return err
			}
			return d.pullImages(ctx)
		}},
		{Name: "control-plane", Short: "Upgrade the control plane instance deployed on this node, if any", Run: func(ctx context.Context, d *nodeData) error {
			if !d.IsControlPlane() {
				fmt.Fprintln(d.Out, "[upgrade] Skipping phase. Not a control plane node.")
				return nil
			}
			return d.controlPlane(ctx, d.target, *d.node.CertificateRenewal, *d.node.EtcdUpgrade)
		}},
		{Name: "kubelet-config", Short: "Upgrade the kubelet configuration for this node", Run: func(ctx context.Context, d *nodeData) error { return d.kubeletConfig(ctx) }},
	}
}
