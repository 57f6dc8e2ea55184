package nodelifecycle

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// eviction is what may become of the NoExecute taint of a node that is not ready.
type eviction int

const (
	evictNothing eviction = iota // it has none: everything is down
	evictAsIs                    // it keeps the one that it has, and gets none
	evictNow                     // it gets one
)

// managed are the keys of taints that follow from conditions, with the effects that those have.
var managed = map[string][]v1.TaintEffect{
	v1.TaintNodeNotReady:           {v1.TaintEffectNoSchedule, v1.TaintEffectNoExecute},
	v1.TaintNodeUnreachable:        {v1.TaintEffectNoSchedule, v1.TaintEffectNoExecute},
	v1.TaintNodeMemoryPressure:     {v1.TaintEffectNoSchedule},
	v1.TaintNodeDiskPressure:       {v1.TaintEffectNoSchedule},
	v1.TaintNodePIDPressure:        {v1.TaintEffectNoSchedule},
	v1.TaintNodeNetworkUnavailable: {v1.TaintEffectNoSchedule},
	v1.TaintNodeUnschedulable:      {v1.TaintEffectNoSchedule},
}

// pressures are the conditions beside Ready that keep new pods away.
var pressures = []struct {
	condition v1.NodeConditionType
	taint     string
}{
	{v1.NodeMemoryPressure, v1.TaintNodeMemoryPressure}, {v1.NodeDiskPressure, v1.TaintNodeDiskPressure},
	{v1.NodePIDPressure, v1.TaintNodePIDPressure}, {v1.NodeNetworkUnavailable, v1.TaintNodeNetworkUnavailable},
}

func sameTaint(a, b v1.Taint) bool {
	return a.Key == b.Key && a.Value == b.Value && a.Effect == b.Effect
}

// evicting reports whether the node has the NoExecute taint of a node that is not ready.
func evicting(n *v1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t v1.Taint) bool {
		return t.Effect == v1.TaintEffectNoExecute && (t.Key == v1.TaintNodeNotReady || t.Key == v1.TaintNodeUnreachable)
	})
}

// Taints are those that the node should have: users', also of our keys with other effects, as they are, and those of its conditions (documentation of
// taint-based evictions). One that is there already keeps its time.
func Taints(n *v1.Node, e eviction, now time.Time) []v1.Taint {
	var want []v1.Taint
	for _, t := range n.Spec.Taints {
		if !slices.Contains(managed[t.Key], t.Effect) {
			want = append(want, t)
		}
	}
	add := func(key string, effect v1.TaintEffect) {
		i := slices.IndexFunc(n.Spec.Taints, func(have v1.Taint) bool { return have.Key == key && have.Effect == effect })
		if i >= 0 {
			want = append(want, n.Spec.Taints[i])
			return
		}
		want = append(want, v1.Taint{Key: key, Effect: effect, TimeAdded: &metav1.Time{Time: now}})
	}
	notReady := func(key string) {
		add(key, v1.TaintEffectNoSchedule)
		if e == evictNow || e == evictAsIs && evicting(n) {
			add(key, v1.TaintEffectNoExecute)
		}
	}
	if n.Spec.Unschedulable {
		add(v1.TaintNodeUnschedulable, v1.TaintEffectNoSchedule)
	}
	switch ready := conditionOf(n, v1.NodeReady); {
	case ready == nil: // it has not reported yet, and runs nothing that could be evicted
		add(v1.TaintNodeNotReady, v1.TaintEffectNoSchedule)
	case ready.Status == v1.ConditionFalse:
		notReady(v1.TaintNodeNotReady)
	case ready.Status == v1.ConditionUnknown:
		notReady(v1.TaintNodeUnreachable)
	}
	for _, p := range pressures {
		if c := conditionOf(n, p.condition); c != nil && c.Status == v1.ConditionTrue {
			add(p.taint, v1.TaintEffectNoSchedule)
		}
	}
	return want
}
