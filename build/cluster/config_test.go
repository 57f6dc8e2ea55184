package cluster

import (
	"strings"
	"testing"
	"time"
)

func TestFaultsOfTheConfigurationAreAllTold(t *testing.T) {
	good := Config{Name: "dev", Nodes: 2, ControlPlanes: 1, Wait: time.Minute}
	if err := good.Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	err := Config{Name: "Dev!", Nodes: 0, ControlPlanes: 3, APIPort: 70000}.Validate()
	if err == nil {
		t.Fatal("a bad one is taken")
	}
	for _, variable := range []string{`CLUSTER="Dev!"`, "NODES=0", "CONTROL_PLANES=3", "API_PORT=70000", "--wait=0s"} {
		if !strings.Contains(err.Error(), variable) {
			t.Errorf("%q is not in: %v", variable, err)
		}
	}
	for _, name := range []string{"", "-a", "a-", "1a", "a_b", strings.Repeat("a", 21), "../etc"} {
		bad := good
		bad.Name = name
		if bad.Validate() == nil {
			t.Errorf("CLUSTER=%q is taken", name)
		}
	}
}

func TestNodesHaveNamesAndAddressesOfTheirOwn(t *testing.T) {
	nodes := Config{Name: "dev", Nodes: maxNodes, ControlPlanes: 1}.NodeList()
	if nodes[0].Name != "control-plane" || !nodes[0].ControlPlane || nodes[1].Name != "worker-1" || nodes[1].ControlPlane {
		t.Errorf("the first nodes are %+v and %+v", nodes[0], nodes[1])
	}
	seen := map[string]bool{switchAddress: true}
	for _, n := range nodes {
		for _, own := range []string{n.Name, n.Address} {
			if seen[own] {
				t.Errorf("%s is taken twice", own)
			}
			seen[own] = true
		}
	}
}

func TestClustersShareNothing(t *testing.T) {
	one, other := Config{Name: "one", StateDir: "/state"}, Config{Name: "other", StateDir: "/state"}
	for what, of := range map[string]func(Config) string{
		"state": Config.dir, "kubeconfig": Config.Kubeconfig, "namespace": func(c Config) string { return c.namespace("worker-1") },
	} {
		if of(one) == of(other) {
			t.Errorf("two clusters have one %s: %s", what, of(one))
		}
	}
}

func TestStateIsFoundAgain(t *testing.T) {
	c := Config{Name: "dev", StateDir: t.TempDir(), Nodes: 2, ControlPlanes: 1, Wait: time.Minute}
	s, err := c.newState()
	if err != nil {
		t.Fatal(err)
	}
	s.Processes["worker-1"] = process{PID: 7, Started: s.Processes["worker-1"].Started}
	if err := s.mark(c.NodeList()[0], setupDone); err != nil {
		t.Fatal(err)
	}
	found, err := c.load()
	if err != nil || found == nil {
		t.Fatalf("got %v, %v", found, err)
	}
	if found.Token != s.Token || found.APIPort != s.APIPort || found.Processes["worker-1"].PID != 7 || found.Setup["control-plane"] != setupDone {
		t.Errorf("found %+v, want %+v", found, s)
	}
}
