package server

import (
	"context"

	"github.com/spf13/cobra"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"

	"pilotis.dev/pkg/daemon"
)

// Command is the command line of kube-apiserver.
func Command() *cobra.Command {
	utilruntime.Must(addGates(utilfeature.DefaultMutableFeatureGate)) // fails only for a name taken twice
	o := NewOptions()
	fss := &cliflag.NamedFlagSets{}
	o.AddFlags(fss)
	return daemon.Command(daemon.Daemon{
		Name:  "kube-apiserver",
		Short: "Serve the Kubernetes API",
		Long: "kube-apiserver validates and stores the objects of a cluster (pods, services, deployments …) and is the\n" +
			"door through which all other parts see and change them.",
		Flags:        fss,
		FeatureGates: utilfeature.DefaultMutableFeatureGate,
		Burst:        daemon.ControlPlaneBurst,
		Complete: func() error {
			if err := o.Complete(); err != nil {
				return err
			}
			return utilerrors.NewAggregate(o.Validate())
		},
		Run: func(ctx context.Context) error { return Run(ctx, o) },
	})
}

// Run serves until ctx ends and then drains.
func Run(ctx context.Context, o *Options) error {
	_, run, err := New(ctx, o)
	if err != nil {
		return err
	}
	return run(ctx)
}
