// Command kubelet runs the pods of a node: those the API binds to it and those of static manifests.
package main

import (
	"context"
	"os"

	"pilotis.dev/cmd/kubelet/app"
	"pilotis.dev/cmd/kubelet/config"
	"pilotis.dev/pkg/daemon"
)

func main() { os.Exit(run()) }

func run() int {
	o := config.NewOptions()
	flags := o.Flags()
	return daemon.Main(daemon.Command(daemon.Daemon{
		Name:     "kubelet",
		Short:    "Runs the pods of this node.",
		Long:     "kubelet runs on every node. It makes the container runtime run the pods that the API server binds to the node, and\nthose of static manifests, keeps their volumes and probes, and tells the API how they and the node are.",
		Flags:    flags,
		Logging:  &o.Config.Logging,
		Complete: o.Complete,
		Run:      func(ctx context.Context) error { return app.Run(ctx, o) },
	}))
}
