package app

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"

	cliflag "k8s.io/component-base/cli/flag"

	"pilotis.dev/pkg/daemon"
)

// NewCommand returns the daemon's command over the table of controllers.
func NewCommand(table []Row) *cobra.Command {
	config := NewConfig()
	var flags cliflag.NamedFlagSets
	config.AddFlags(&flags, table)
	return daemon.Command(daemon.Daemon{
		Name:  "kube-controller-manager",
		Short: "Run the controllers of a Kubernetes cluster",
		Long: "kube-controller-manager runs the control loops that bring the cluster from its present state to the desired one. " +
			"One instance works at a time: it holds the Lease kube-system/kube-controller-manager.",
		Flags:        &flags,
		FeatureGates: config.Features.Gate,
		Burst:        daemon.ControlPlaneBurst,
		Complete: func() error {
			if err := config.Validate(table); err != nil {
				return err
			}
			daemon.ApplyMetrics(config.Metrics)
			if *config.Generic.Debugging.EnableContentionProfiling && config.Serving.Profiling {
				runtime.SetBlockProfileRate(1)
			}
			return nil
		},
		Run: func(ctx context.Context) error { return Run(ctx, config, table, &flags) },
	})
}
