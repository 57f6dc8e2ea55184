package app

import (
	"fmt"
	"os"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
)

func newUpgradeDiff(env Env) *cobra.Command {
	f := &upgradeFlags{}
	var lines int
	cmd := &cobra.Command{
		Use:   "diff [version]",
		Short: "Show what differences would be applied to existing static pod manifests. See also: kubeadm upgrade apply --dry-run",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := f.load(cmd.Context(), env, cmd, args, func(c *config.UpgradeConfiguration) string { return c.Diff.KubernetesVersion })
			if err != nil {
				return err
			}
			context := d.config.Diff.DiffContextLines
			merge(cmd.Flags(), "context-lines", lines, &context)
			return d.diff(context)
		},
	}
	f.add(cmd.Flags())
	cmd.Flags().IntVarP(&lines, "context-lines", "c", 3, "How many lines of context in the diff")
	return cmd
}

func (d *upgradeData) diff(context int) error {
	d.Cluster.KubernetesVersion = d.target
	for _, name := range []string{phases.APIServer, phases.ControllerManager, phases.Scheduler} {
		old, err := os.ReadFile(d.Manifest(name))
		if err != nil {
			return err
		}
		next, err := d.RenderStaticPod(name)
		if err != nil {
			return err
		}
		text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
			A: difflib.SplitLines(string(old)), B: difflib.SplitLines(string(next)), FromFile: d.Manifest(name), ToFile: "new manifest", Context: context,
		})
		if err != nil {
			return err
		}
		fmt.Fprint(d.Out, text)
	}
	return nil
}
