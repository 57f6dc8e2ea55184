// Package table is the list of the controllers of kube-controller-manager.
package table

import (
	"slices"

	"pilotis.dev/cmd/kube-controller-manager/app"
)

// Row and Env are what a controller is declared with and made from.
type (
	Row    = app.Row
	Env    = app.Env
	Runner = app.Runner
)

// Controllers is the table: every controller of the daemon with what it reads and writes.
func Controllers() []Row {
	return slices.Concat(workloads(), cluster(), identity(), storage(), network())
}
