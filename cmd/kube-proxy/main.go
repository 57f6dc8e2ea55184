// Command kube-proxy makes the addresses of Services work on a node: it watches Services and EndpointSlices and
// keeps the kernel's packet rules accordingly.
package main

import (
	"context"
	"os"

	"pilotis.dev/cmd/kube-proxy/config"
	"pilotis.dev/pkg/daemon"
)

func main() { os.Exit(run()) }

func run() int {
	o := config.NewOptions()
	flags := o.Flags()
	return daemon.Main(daemon.Command(daemon.Daemon{
		Name:         "kube-proxy",
		Short:        "Makes the addresses of Services work on this node.",
		Long:         "kube-proxy watches Services and EndpointSlices and redirects packets to cluster IPs, node ports, external\nand load balancer addresses to the pods behind them, by rules in this node's kernel.",
		Flags:        flags,
		Logging:      &o.Config.Logging,
		FeatureGates: o.Features.Gate,
		Complete:     o.Complete,
		Run: func(ctx context.Context) error {
			if o.WriteConfigTo != "" {
				return nil
			}
			if o.Cleanup {
				return cleanup(ctx)
			}
			s, err := newServer(o, flags)
			if err != nil {
				return err
			}
			return s.run(ctx)
		},
	}))
}
