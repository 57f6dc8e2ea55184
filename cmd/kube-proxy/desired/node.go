package desired

import (
	v1 "k8s.io/api/core/v1"
)

// Node is what of this node bears on the choice of endpoints.
type Node struct {
	Name string
	Zone string // label topology.kubernetes.io/zone
}

// NodeOf reads a Node object.
func NodeOf(n *v1.Node) Node {
	return Node{Name: n.Name, Zone: n.Labels[v1.LabelTopologyZone]}
}
