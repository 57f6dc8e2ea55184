// Command kube-apiserver serves the Kubernetes API: it authenticates, authorizes, admits, validates and stores, and
// is the only part that talks to etcd.
package main

import (
	"os"

	"pilotis.dev/cmd/kube-apiserver/server"
	"pilotis.dev/pkg/daemon"
)

func main() {
	os.Exit(daemon.Main(server.Command()))
}
