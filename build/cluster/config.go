package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Config says what cluster to run.
type Config struct {
	Name          string // a DNS label; several clusters stand side by side
	Root          string // the repository, with bin/ and out/images/
	StateDir      string // everything of this cluster lies below StateDir/Name
	Nodes         int    // all nodes, control planes among them
	ControlPlanes int
	APIPort       int // on 127.0.0.1 of the host; 0 takes the first free one from 6443 on
	// Wait is how long one step of Up may wait for a part of the cluster.
	Wait time.Duration
}

// Networks of every cluster: clusters are apart from each other and from the machine, so they may be equal.
const (
	nodeSubnet    = "10.89.0.0/24"
	switchAddress = "10.89.0.1"
	podSubnet     = "10.244.0.0/16"
	serviceSubnet = "10.96.0.0/12"
	clusterDNS    = "10.96.0.10"
	maxNodes      = 200
)

// The kernel limits an interface name to 15 bytes; names of namespaces carry the cluster's name.
var nameRule = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$`)

// Validate returns every fault of c, each naming the make variable that carries it.
func (c Config) Validate() error {
	var errs []error
	if !nameRule.MatchString(c.Name) {
		errs = append(errs, fmt.Errorf("CLUSTER=%q: must be 1 to 20 lower-case letters, digits and dashes, beginning with a letter", c.Name))
	}
	if c.Nodes < 1 || c.Nodes > maxNodes {
		errs = append(errs, fmt.Errorf("NODES=%d: must be between 1 and %d", c.Nodes, maxNodes))
	}
	if c.ControlPlanes != 1 {
		errs = append(errs, fmt.Errorf("CONTROL_PLANES=%d: one control plane is supported now", c.ControlPlanes))
	}
	if c.APIPort < 0 || c.APIPort > 65535 {
		errs = append(errs, fmt.Errorf("API_PORT=%d: must be a TCP port, or 0 for the first free one", c.APIPort))
	}
	if c.Wait <= 0 {
		errs = append(errs, fmt.Errorf("--wait=%v: must be more than 0, such as 4m", c.Wait))
	}
	return errors.Join(errs...)
}

// Node is one machine of the cluster.
type Node struct {
	Index        int // from 0; the control planes come first
	Name         string
	Address      string
	ControlPlane bool
}

// NodeList names the nodes: control-plane, then worker-1, worker-2, …
func (c Config) NodeList() []Node {
	var nodes []Node
	for i := range c.Nodes {
		n := Node{Index: i, Address: fmt.Sprintf("10.89.0.%d", 10+i), ControlPlane: i < c.ControlPlanes}
		switch {
		case n.ControlPlane && c.ControlPlanes == 1:
			n.Name = "control-plane"
		case n.ControlPlane:
			n.Name = fmt.Sprintf("control-plane-%d", i+1)
		default:
			n.Name = fmt.Sprintf("worker-%d", i-c.ControlPlanes+1)
		}
		nodes = append(nodes, n)
	}
	return nodes
}
