// Command kube-scheduler gives every pod without a node the one that suits it best.
package main

import (
	"context"
	"os"

	"pilotis.dev/cmd/kube-scheduler/config"
	"pilotis.dev/pkg/daemon"
)

func main() { os.Exit(run()) }

func run() int {
	o := config.NewOptions()
	flags := o.Flags()
	return daemon.Main(daemon.Command(daemon.Daemon{
		Name:         "kube-scheduler",
		Short:        "Finds nodes for pods.",
		Long:         "kube-scheduler watches for pods that have no node. For each it finds the nodes that can run it, rates them, and\nbinds the pod to the best. Pods that fit nowhere wait until something changes that may help, or displace pods of\nlower priority.",
		Flags:        flags,
		FeatureGates: o.Features.Gate,
		Burst:        daemon.ControlPlaneBurst,
		Complete:     o.Complete,
		Run: func(ctx context.Context) error {
			if o.WriteConfigTo != "" {
				return nil
			}
			s, err := newScheduler(o)
			if err != nil {
				return err
			}
			return s.serve(ctx, flags)
		},
	}))
}
