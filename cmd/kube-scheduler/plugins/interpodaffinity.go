package plugins

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// InterPodAffinity puts pods near or away from others, by spec.affinity.podAffinity and podAntiAffinity: the pod's
// own terms and those of the pods that run.
type InterPodAffinity struct {
	// HardWeight is what a running pod's required affinity counts when it would like the new pod near (0 to 100).
	HardWeight int64
	// IgnorePreferredOfOthers leaves preferred terms of running pods out of the score.
	IgnorePreferredOfOthers bool
}

func (InterPodAffinity) Name() string { return "InterPodAffinity" }

// domain is a value of a topology label: one zone, one host.
type domain struct{ key, value string }

func domainOf(n *snapshot.Node, key string) (domain, bool) {
	value, ok := n.Labels[key]
	return domain{key, value}, ok
}

// podAffinityFilter counts, by domain, the pods that matter.
type podAffinityFilter struct {
	pod       *snapshot.Pod
	wanted    []map[domain]int // by the pod's required affinity terms: pods that match all terms
	unwanted  []map[domain]int // by its anti-affinity terms
	repelling map[domain]int   // running pods whose required anti-affinity matches the pod
	// alone: nobody matches the affinity terms yet, and the pod matches them itself, so it may be the first.
	alone bool
}

// PrepareFilter walks over the running pods once.
func (InterPodAffinity) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	f := &podAffinityFilter{pod: c.Pod, repelling: map[domain]int{}}
	labels := c.NamespaceLabels(c.Pod.Namespace)
	for _, n := range c.Snapshot.Nodes {
		for _, other := range n.Averse {
			for i := range other.RequiredAntiAffinity {
				term := &other.RequiredAntiAffinity[i]
				if d, ok := domainOf(n, term.TopologyKey); ok && term.Matches(c.Pod.Pod, labels) {
					f.repelling[d]++
				}
			}
		}
	}
	if len(c.Pod.RequiredAffinity)+len(c.Pod.RequiredAntiAffinity) > 0 {
		f.count(c)
	}
	if len(f.repelling) == 0 && len(c.Pod.RequiredAffinity)+len(c.Pod.RequiredAntiAffinity) == 0 {
		return nil, nil
	}
	return f, nil
}

func (f *podAffinityFilter) count(c *Cycle) {
	f.wanted = make([]map[domain]int, len(f.pod.RequiredAffinity))
	f.unwanted = make([]map[domain]int, len(f.pod.RequiredAntiAffinity))
	for i := range f.wanted {
		f.wanted[i] = map[domain]int{}
	}
	for i := range f.unwanted {
		f.unwanted[i] = map[domain]int{}
	}
	any := false
	for _, n := range c.Snapshot.Nodes {
		for _, other := range n.Pods {
			if len(f.wanted) > 0 && matchesAll(f.pod.RequiredAffinity, other, c) {
				for i, term := range f.pod.RequiredAffinity {
					if d, ok := domainOf(n, term.TopologyKey); ok {
						f.wanted[i][d]++
						any = true
					}
				}
			}
			for i := range f.pod.RequiredAntiAffinity {
				term := &f.pod.RequiredAntiAffinity[i]
				if d, ok := domainOf(n, term.TopologyKey); ok && term.Matches(other.Pod, c.NamespaceLabels(other.Namespace)) {
					f.unwanted[i][d]++
				}
			}
		}
	}
	f.alone = !any && matchesAll(f.pod.RequiredAffinity, f.pod, c)
}

func matchesAll(terms []framework.AffinityTerm, pod *snapshot.Pod, c *Cycle) bool {
	for i := range terms {
		if !terms[i].Matches(pod.Pod, c.NamespaceLabels(pod.Namespace)) {
			return false
		}
	}
	return true
}

func (f *podAffinityFilter) Filter(n *snapshot.Node) *framework.Status {
	for i, term := range f.pod.RequiredAffinity {
		d, ok := domainOf(n, term.TopologyKey)
		if !ok || (f.wanted[i][d] == 0 && !f.alone) {
			return framework.NewStatus(framework.UnschedulableAndUnresolvable, "node(s) didn't match pod affinity rules")
		}
	}
	for i, term := range f.pod.RequiredAntiAffinity {
		if d, ok := domainOf(n, term.TopologyKey); ok && f.unwanted[i][d] > 0 {
			return framework.NewStatus(framework.Unschedulable, "node(s) didn't match pod anti-affinity rules")
		}
	}
	for d := range f.repelling {
		if n.Labels[d.key] == d.value {
			if _, has := n.Labels[d.key]; has {
				return framework.NewStatus(framework.Unschedulable, "node(s) didn't satisfy existing pods anti-affinity rules")
			}
		}
	}
	return nil
}

// PrepareScore sums weights by domain: the pod's preferences of running pods, and theirs of it.
func (p InterPodAffinity) PrepareScore(c *Cycle, _ []*snapshot.Node) Score {
	own := len(c.Pod.PreferredAffinity)+len(c.Pod.PreferredAntiAffinity) > 0
	s := podAffinityScore{weights: map[domain]int64{}}
	labels := c.NamespaceLabels(c.Pod.Namespace)
	for _, n := range c.Snapshot.Nodes {
		others := n.Affine
		if own {
			others = n.Pods
		}
		for _, other := range others {
			s.add(n, c.Pod.PreferredAffinity, other.Pod, c.NamespaceLabels(other.Namespace), 1)
			s.add(n, c.Pod.PreferredAntiAffinity, other.Pod, c.NamespaceLabels(other.Namespace), -1)
			if p.HardWeight > 0 {
				for i := range other.RequiredAffinity {
					term := framework.WeightedAffinityTerm{AffinityTerm: other.RequiredAffinity[i], Weight: int32(p.HardWeight)}
					s.add(n, []framework.WeightedAffinityTerm{term}, c.Pod.Pod, labels, 1)
				}
			}
			if !p.IgnorePreferredOfOthers || own {
				s.add(n, other.PreferredAffinity, c.Pod.Pod, labels, 1)
				s.add(n, other.PreferredAntiAffinity, c.Pod.Pod, labels, -1)
			}
		}
	}
	if len(s.weights) == 0 {
		return nil
	}
	return s
}

type podAffinityScore struct{ weights map[domain]int64 }

func (s podAffinityScore) add(n *snapshot.Node, terms []framework.WeightedAffinityTerm, pod *v1.Pod, labels map[string]string, sign int64) {
	for i := range terms {
		if d, ok := domainOf(n, terms[i].TopologyKey); ok && terms[i].Matches(pod, labels) {
			s.weights[d] += sign * int64(terms[i].Weight)
		}
	}
}

func (s podAffinityScore) Score(n *snapshot.Node) int64 {
	var sum int64
	for d, w := range s.weights {
		if value, ok := n.Labels[d.key]; ok && value == d.value {
			sum += w
		}
	}
	return sum
}

// Normalize brings the least score to 0 and the greatest to 100.
func (podAffinityScore) Normalize(scores []int64) {
	if len(scores) == 0 {
		return
	}
	least, greatest := scores[0], scores[0]
	for _, s := range scores {
		least, greatest = min(least, s), max(greatest, s)
	}
	for i, s := range scores {
		scores[i] = 0
		if greatest > least {
			scores[i] = framework.MaxScore * (s - least) / (greatest - least)
		}
	}
}

// Wakes: a pod comes, goes or changes labels, or a node comes or changes labels.
func (InterPodAffinity) Wakes(e Event, pod *snapshot.Pod) bool {
	if e.Is(framework.Node, framework.Add|framework.UpdateNodeLabel) {
		return true
	}
	if e.Is(framework.AssignedPod, framework.Add|framework.UpdatePodLabel) {
		return len(pod.RequiredAffinity) > 0 || e.Is(framework.AssignedPod, framework.UpdatePodLabel)
	}
	return e.Is(framework.AssignedPod, framework.Delete) || e.Is(framework.UnscheduledPod, framework.UpdatePodLabel)
}
