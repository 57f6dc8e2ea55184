// Command kubeadm bootstraps a Kubernetes cluster on a machine: `kubeadm init` makes the first control plane node, `kubeadm join`
// adds nodes, `kubeadm reset` takes a node back to what it was.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pilotis.dev/cmd/kubeadm/app"
	"pilotis.dev/cmd/kubeadm/host"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return app.Run(ctx, app.Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Host: host.New(), Now: time.Now}, os.Args[1:])
}
