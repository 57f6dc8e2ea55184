package app

import (
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/resources"
)

// complete fills what this version of the kubelet needs besides.
func (n *world) complete(t *testing.T, c *act.Config) {
	t.Helper()
	var err error
	if n.Users, err = resources.NewUserNamespaces(filepath.Join(n.RootDir, "pods"), 1<<16, n.MaxPods); err != nil {
		t.Fatal(err)
	}
	if n.Allocations, err = resources.NewAllocations(filepath.Join(n.RootDir, "allocations")); err != nil {
		t.Fatal(err)
	}
	n.DeadContainers = 1
	n.Logs = observed.Logs{Pods: t.TempDir(), Links: t.TempDir()}
	c.Logs, c.Users = n.Logs, n.Users
	c.Services = func(string) ([]*v1.Service, bool) { return nil, true }
	n.Desired.Listen(n.Wake, n.WakeAll)
}

func listenNone(*desired.Set) {}
