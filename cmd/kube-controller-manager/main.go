// kube-controller-manager runs the cluster's controllers; the package table lists them.
package main

import (
	"os"
	_ "time/tzdata" // time zones of CronJobs, in images without zoneinfo too

	"pilotis.dev/cmd/kube-controller-manager/app"
	"pilotis.dev/cmd/kube-controller-manager/table"
	"pilotis.dev/pkg/daemon"
)

func main() {
	os.Exit(daemon.Main(app.NewCommand(table.Controllers())))
}
