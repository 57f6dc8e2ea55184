package plugins

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// NodePorts keeps two pods from taking the same host port of a node.
type NodePorts struct{}

func (NodePorts) Name() string { return "NodePorts" }

// PrepareFilter compares with the ports in use.
func (NodePorts) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	ports := c.Pod.HostPorts()
	if len(ports) == 0 {
		return nil, nil
	}
	return FilterFunc(func(n *snapshot.Node) *framework.Status {
		for _, p := range ports {
			if n.Ports.CheckConflict(p.HostIP, string(p.Protocol), p.HostPort) {
				return framework.NewStatus(framework.Unschedulable, "node(s) didn't have free ports for the requested pod ports")
			}
		}
		return nil
	}), nil
}

// Wakes: a node comes, or a pod goes that holds one of the ports.
func (NodePorts) Wakes(e Event, pod *snapshot.Pod) bool {
	if e.Is(framework.Node, framework.Add) {
		return true
	}
	gone, ok := e.Old.(*v1.Pod)
	if !ok || !e.Is(framework.AssignedPod, framework.Delete) {
		return false
	}
	used := framework.HostPortInfo{}
	for _, p := range snapshot.NewPod(gone).HostPorts() {
		used.Add(p.HostIP, string(p.Protocol), p.HostPort)
	}
	for _, p := range pod.HostPorts() {
		if used.CheckConflict(p.HostIP, string(p.Protocol), p.HostPort) {
			return true
		}
	}
	return false
}
