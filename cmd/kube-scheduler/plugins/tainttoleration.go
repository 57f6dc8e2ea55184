package plugins

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// TaintToleration keeps pods off nodes whose NoSchedule and NoExecute taints they do not tolerate, and prefers nodes
// with few PreferNoSchedule taints that they do not tolerate.
type TaintToleration struct{}

func (TaintToleration) Name() string { return "TaintToleration" }

// PrepareFilter asks for the first taint that the pod does not tolerate.
func (TaintToleration) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	logger := klog.Background()
	return FilterFunc(func(n *snapshot.Node) *framework.Status {
		if len(n.Spec.Taints) == 0 {
			return nil
		}
		taint, untolerated := corev1.FindMatchingUntoleratedTaint(logger, n.Spec.Taints, c.Pod.Spec.Tolerations, hardTaint, true)
		if !untolerated {
			return nil
		}
		return framework.NewStatus(framework.UnschedulableAndUnresolvable, fmt.Sprintf("node(s) had untolerated taint {%s: %s}", taint.Key, taint.Value))
	}), nil
}

func hardTaint(t *v1.Taint) bool {
	return t.Effect == v1.TaintEffectNoSchedule || t.Effect == v1.TaintEffectNoExecute
}

// PrepareScore counts soft taints.
func (TaintToleration) PrepareScore(c *Cycle, nodes []*snapshot.Node) Score {
	var soft []v1.Toleration
	for _, t := range c.Pod.Spec.Tolerations {
		if t.Effect == "" || t.Effect == v1.TaintEffectPreferNoSchedule {
			soft = append(soft, t)
		}
	}
	return taintScore{soft}
}

type taintScore struct{ tolerations []v1.Toleration }

func (s taintScore) Score(n *snapshot.Node) int64 {
	var intolerable int64
	for i := range n.Spec.Taints {
		t := &n.Spec.Taints[i]
		if t.Effect == v1.TaintEffectPreferNoSchedule && !corev1.TolerationsTolerateTaint(klog.Background(), s.tolerations, t, true) {
			intolerable++
		}
	}
	return intolerable
}

func (taintScore) Normalize(scores []int64) { normalize(scores, true) }

// Wakes: a node comes or its taints change to what the pod tolerates.
func (TaintToleration) Wakes(e Event, pod *snapshot.Pod) bool {
	n, ok := e.New.(*v1.Node)
	if !ok || !e.Is(framework.Node, framework.Add|framework.UpdateNodeTaint) {
		return false
	}
	_, untolerated := corev1.FindMatchingUntoleratedTaint(klog.Background(), n.Spec.Taints, pod.Spec.Tolerations, hardTaint, true)
	return !untolerated
}
