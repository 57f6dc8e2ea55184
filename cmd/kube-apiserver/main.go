// Command kube-apiserver serves the Kubernetes API: it authenticates, authorizes, admits, validates and stores, and
// is the only part that talks to etcd.
package main

import (
	"os"
	_ "time/tzdata" // time zones of CronJobs, in images without zoneinfo too

	"pilotis.dev/cmd/kube-apiserver/server"
	"pilotis.dev/pkg/daemon"
)

func main() {
	os.Exit(daemon.Main(server.Command()))
}
