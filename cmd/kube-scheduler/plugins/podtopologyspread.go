package plugins

import (
	"math"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// PodTopologySpread spreads pods over domains (spec.topologySpreadConstraints). Defaults hold for pods without
// constraints of their own.
type PodTopologySpread struct {
	Defaults []v1.TopologySpreadConstraint
	// DefaultSelector gives the labels that default constraints count by: those of the Services, ReplicaSets and
	// StatefulSets that select the pod; nil selects nothing.
	DefaultSelector func(pod *v1.Pod) labels.Selector
}

func (PodTopologySpread) Name() string { return "PodTopologySpread" }

// constraint is a parsed TopologySpreadConstraint.
type constraint struct {
	key                         string
	maxSkew, minDomains         int64
	selector                    labels.Selector
	honourAffinity, honourTaint bool
}

func (p PodTopologySpread) constraints(pod *v1.Pod, when v1.UnsatisfiableConstraintAction) ([]constraint, error) {
	specified := pod.Spec.TopologySpreadConstraints
	var fallback labels.Selector
	if len(specified) == 0 && p.DefaultSelector != nil && len(p.Defaults) > 0 {
		if fallback = p.DefaultSelector(pod); fallback == nil || fallback.Empty() {
			return nil, nil
		}
		specified = p.Defaults
	}
	var out []constraint
	for _, c := range specified {
		if c.WhenUnsatisfiable != when {
			continue
		}
		selector := fallback
		if selector == nil {
			var err error
			if selector, err = metav1.LabelSelectorAsSelector(c.LabelSelector); err != nil {
				return nil, err
			}
			for _, key := range c.MatchLabelKeys {
				if value, ok := pod.Labels[key]; ok {
					r, err := labels.NewRequirement(key, "in", []string{value})
					if err != nil {
						return nil, err
					}
					selector = selector.Add(*r)
				}
			}
		}
		out = append(out, constraint{
			key: c.TopologyKey, maxSkew: int64(c.MaxSkew), minDomains: int64(ptr.Deref(c.MinDomains, 1)), selector: selector,
			honourAffinity: ptr.Deref(c.NodeAffinityPolicy, v1.NodeInclusionPolicyHonor) == v1.NodeInclusionPolicyHonor,
			honourTaint:    ptr.Deref(c.NodeTaintsPolicy, v1.NodeInclusionPolicyIgnore) == v1.NodeInclusionPolicyHonor,
		})
	}
	return out, nil
}

// counts reports whether pods on the node count for the constraint.
func (c constraint) counts(pod *v1.Pod, affinity nodeaffinity.RequiredNodeAffinity, n *snapshot.Node) bool {
	if c.honourAffinity {
		if ok, err := affinity.Match(n.Node); !ok || err != nil {
			return false
		}
	}
	if c.honourTaint {
		if _, untolerated := corev1.FindMatchingUntoleratedTaint(klog.Background(), n.Spec.Taints, pod.Spec.Tolerations, hardTaint, true); untolerated {
			return false
		}
	}
	return true
}

func (c constraint) matching(namespace string, n *snapshot.Node) int64 {
	var count int64
	for _, p := range n.Pods {
		if p.Namespace == namespace && p.DeletionTimestamp == nil && c.selector.Matches(labels.Set(p.Labels)) {
			count++
		}
	}
	return count
}

func hasKeys(n *snapshot.Node, constraints []constraint) bool {
	for _, c := range constraints {
		if _, ok := n.Labels[c.key]; !ok {
			return false
		}
	}
	return true
}

type spreadFilter struct {
	pod         *v1.Pod
	constraints []constraint
	perDomain   []map[string]int64 // by constraint, then by the label's value
	least       []int64
}

// PrepareFilter counts matching pods by domain.
func (p PodTopologySpread) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	constraints, err := p.constraints(c.Pod.Pod, v1.DoNotSchedule)
	if err != nil {
		return nil, framework.NewStatus(framework.UnschedulableAndUnresolvable, "spec.topologySpreadConstraints: "+err.Error())
	}
	if len(constraints) == 0 {
		return nil, nil
	}
	f := &spreadFilter{pod: c.Pod.Pod, constraints: constraints, perDomain: make([]map[string]int64, len(constraints)), least: make([]int64, len(constraints))}
	affinity := nodeaffinity.GetRequiredNodeAffinity(c.Pod.Pod)
	for i := range constraints {
		f.perDomain[i] = map[string]int64{}
	}
	for _, n := range c.Snapshot.Nodes {
		if !hasKeys(n, constraints) {
			continue
		}
		for i, con := range constraints {
			if con.counts(c.Pod.Pod, affinity, n) {
				f.perDomain[i][n.Labels[con.key]] += con.matching(c.Pod.Namespace, n)
			}
		}
	}
	for i, con := range constraints {
		f.least[i] = math.MaxInt64
		for _, count := range f.perDomain[i] {
			f.least[i] = min(f.least[i], count)
		}
		if int64(len(f.perDomain[i])) < con.minDomains || len(f.perDomain[i]) == 0 {
			f.least[i] = 0 // a domain that is still to come has no pods
		}
	}
	return f, nil
}

func (f *spreadFilter) Filter(n *snapshot.Node) *framework.Status {
	for i, c := range f.constraints {
		value, ok := n.Labels[c.key]
		if !ok {
			return framework.NewStatus(framework.UnschedulableAndUnresolvable, "node(s) didn't match pod topology spread constraints (missing required label)")
		}
		var self int64
		if c.selector.Matches(labels.Set(f.pod.Labels)) {
			self = 1
		}
		if f.perDomain[i][value]+self-f.least[i] > c.maxSkew {
			return framework.NewStatus(framework.Unschedulable, "node(s) didn't match pod topology spread constraints")
		}
	}
	return nil
}

type spreadScore struct {
	constraints []constraint
	perDomain   []map[string]int64
	weights     []float64
	namespace   string
	ignored     map[string]bool // nodes that lack a label
	order       []*snapshot.Node
}

// PrepareScore counts for the constraints that may be violated, among nodes that passed.
func (p PodTopologySpread) PrepareScore(c *Cycle, nodes []*snapshot.Node) Score {
	constraints, err := p.constraints(c.Pod.Pod, v1.ScheduleAnyway)
	if err != nil || len(constraints) == 0 {
		return nil
	}
	s := &spreadScore{constraints: constraints, namespace: c.Pod.Namespace, ignored: map[string]bool{}, order: nodes}
	lenient := len(c.Pod.Spec.TopologySpreadConstraints) == 0 // defaults do not demand their labels
	for _, con := range constraints {
		domains := map[string]int64{}
		for _, n := range nodes {
			if !lenient && !hasKeys(n, constraints) {
				s.ignored[n.Name] = true
				continue
			}
			if value, ok := n.Labels[con.key]; ok {
				domains[value] = 0
			}
		}
		s.perDomain = append(s.perDomain, domains)
		// Many domains make one pod more or less of a domain matter less: the weight grows with their number.
		s.weights = append(s.weights, math.Log(float64(len(domains)+2)))
	}
	affinity := nodeaffinity.GetRequiredNodeAffinity(c.Pod.Pod)
	for _, n := range c.Snapshot.Nodes {
		if !lenient && !hasKeys(n, constraints) {
			continue
		}
		for i, con := range constraints {
			value, ok := n.Labels[con.key]
			if _, candidate := s.perDomain[i][value]; !ok || !candidate || !con.counts(c.Pod.Pod, affinity, n) {
				continue
			}
			s.perDomain[i][value] += con.matching(c.Pod.Namespace, n)
		}
	}
	return s
}

// unrated marks a node without the labels: it gets no points.
const unrated = math.MaxInt64

func (s *spreadScore) Score(n *snapshot.Node) int64 {
	if s.ignored[n.Name] {
		return unrated
	}
	var score float64
	for i, c := range s.constraints {
		if value, ok := n.Labels[c.key]; ok {
			score += float64(s.perDomain[i][value])*s.weights[i] + float64(c.maxSkew-1)
		}
	}
	return int64(math.Round(score))
}

// Normalize gives most to the nodes with the fewest matching pods in their domains.
func (s *spreadScore) Normalize(scores []int64) {
	least, greatest := int64(math.MaxInt64), int64(0)
	for _, v := range scores {
		if v != unrated {
			least, greatest = min(least, v), max(greatest, v)
		}
	}
	for i, v := range scores {
		switch {
		case v == unrated:
			scores[i] = 0
		case greatest == 0:
			scores[i] = framework.MaxScore
		default:
			scores[i] = framework.MaxScore * (greatest + least - v) / greatest
		}
	}
}

// Wakes: a pod comes, goes or changes labels, or a node comes, goes or changes labels or taints.
func (PodTopologySpread) Wakes(e Event, _ *snapshot.Pod) bool {
	return e.Is(framework.AssignedPod, framework.Add|framework.Delete|framework.UpdatePodLabel) ||
		e.Is(framework.UnscheduledPod, framework.UpdatePodLabel) ||
		e.Is(framework.Node, framework.Add|framework.Delete|framework.UpdateNodeLabel|framework.UpdateNodeTaint)
}
