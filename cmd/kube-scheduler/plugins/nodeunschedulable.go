package plugins

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// NodeUnschedulable keeps pods off cordoned nodes, but for those that tolerate the taint that stands for it.
type NodeUnschedulable struct{}

func (NodeUnschedulable) Name() string { return "NodeUnschedulable" }

// PrepareFilter looks at spec.unschedulable.
func (NodeUnschedulable) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	taint := &v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule}
	if corev1.TolerationsTolerateTaint(klog.Background(), c.Pod.Spec.Tolerations, taint, true) {
		return nil, nil
	}
	return FilterFunc(func(n *snapshot.Node) *framework.Status {
		if n.Spec.Unschedulable {
			return framework.NewStatus(framework.UnschedulableAndUnresolvable, "node(s) were unschedulable")
		}
		return nil
	}), nil
}

// Wakes: a node comes, or is uncordoned.
func (NodeUnschedulable) Wakes(e Event, _ *snapshot.Pod) bool {
	n, ok := e.New.(*v1.Node)
	return ok && e.Is(framework.Node, framework.Add|framework.UpdateNodeTaint) && !n.Spec.Unschedulable
}
