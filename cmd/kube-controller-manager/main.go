// kube-controller-manager runs the cluster's controllers; controllers.go lists them.
package main

import (
	"os"

	"pilotis.dev/cmd/kube-controller-manager/app"
	"pilotis.dev/pkg/daemon"
)

func main() {
	os.Exit(daemon.Main(app.NewCommand(controllers())))
}
