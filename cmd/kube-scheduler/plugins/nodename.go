package plugins

import (
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// NodeName keeps a pod with spec.nodeName to that node.
type NodeName struct{}

func (NodeName) Name() string { return "NodeName" }

// PrepareFilter compares names.
func (NodeName) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	if c.Pod.Spec.NodeName == "" {
		return nil, nil
	}
	return FilterFunc(func(n *snapshot.Node) *framework.Status {
		if n.Name != c.Pod.Spec.NodeName {
			return framework.NewStatus(framework.UnschedulableAndUnresolvable, "node(s) didn't match the requested node name")
		}
		return nil
	}), nil
}

// Wakes: a new node may have the name.
func (NodeName) Wakes(e Event, pod *snapshot.Pod) bool { return e.Is(framework.Node, framework.Add) }
