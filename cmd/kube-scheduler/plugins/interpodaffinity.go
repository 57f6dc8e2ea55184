package plugins

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
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

// domains holds a number by topology key and by the key's value: by zone, by host.
type domains map[string]map[string]int64

// add changes the number of the node's domain; a node without the label is in none.
func (d domains) add(n *snapshot.Node, key string, by int64) bool {
	value, ok := n.Labels[key]
	if !ok {
		return false
	}
	if d[key] == nil {
		d[key] = map[string]int64{}
	}
	d[key][value] += by
	return true
}

// of is the number of the node's domain; it is 0 for a node without the label, which is in none.
func (d domains) of(n *snapshot.Node, key string) (count int64, labelled bool) {
	value, labelled := n.Labels[key]
	if !labelled {
		return 0, false
	}
	return d[key][value], true
}

// podAffinityFilter counts, by domain, the pods that matter.
type podAffinityFilter struct {
	pod       *snapshot.Pod
	wanted    domains   // pods that match all of the pod's required affinity terms
	unwanted  []domains // by its anti-affinity terms
	repelling domains   // running pods whose required anti-affinity matches the pod
	// alone: nobody matches the affinity terms yet, and the pod matches them itself, so it may be the first.
	alone bool
}

// PrepareFilter walks over the running pods once.
func (InterPodAffinity) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	f := &podAffinityFilter{pod: c.Pod, repelling: domains{}}
	ours := c.NamespaceLabels(c.Pod.Namespace)
	for _, n := range c.Snapshot.Nodes {
		for _, other := range n.Averse {
			for i := range other.RequiredAntiAffinity {
				term := &other.RequiredAntiAffinity[i]
				if term.Matches(c.Pod.Pod, ours) {
					f.repelling.add(n, term.TopologyKey, 1)
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
	f.wanted = domains{}
	f.unwanted = make([]domains, len(f.pod.RequiredAntiAffinity))
	for i := range f.unwanted {
		f.unwanted[i] = domains{}
	}
	var keys []string // a key that two terms share counts once
	for _, term := range f.pod.RequiredAffinity {
		if !slices.Contains(keys, term.TopologyKey) {
			keys = append(keys, term.TopologyKey)
		}
	}
	found := false
	for _, n := range c.Snapshot.Nodes {
		for _, other := range n.Pods {
			if len(keys) > 0 && matchesAll(f.pod.RequiredAffinity, other, c) {
				for _, key := range keys {
					found = f.wanted.add(n, key, 1) || found
				}
			}
			for i := range f.pod.RequiredAntiAffinity {
				term := &f.pod.RequiredAntiAffinity[i]
				if term.Matches(other.Pod, c.NamespaceLabels(other.Namespace)) {
					f.unwanted[i].add(n, term.TopologyKey, 1)
				}
			}
		}
	}
	f.alone = !found && matchesAll(f.pod.RequiredAffinity, f.pod, c)
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
	for _, term := range f.pod.RequiredAffinity {
		if count, labelled := f.wanted.of(n, term.TopologyKey); !labelled || (count == 0 && !f.alone) {
			return framework.NewStatus(framework.UnschedulableAndUnresolvable, "node(s) didn't match pod affinity rules")
		}
	}
	for i, term := range f.pod.RequiredAntiAffinity {
		if count, _ := f.unwanted[i].of(n, term.TopologyKey); count > 0 {
			return framework.NewStatus(framework.Unschedulable, "node(s) didn't match pod anti-affinity rules")
		}
	}
	for key := range f.repelling {
		if count, _ := f.repelling.of(n, key); count > 0 {
			return framework.NewStatus(framework.Unschedulable, "node(s) didn't satisfy existing pods anti-affinity rules")
		}
	}
	return nil
}

// PrepareScore sums weights by domain: the pod's preferences of running pods, and theirs of it.
func (p InterPodAffinity) PrepareScore(c *Cycle, _ []*snapshot.Node) Score {
	own := len(c.Pod.PreferredAffinity)+len(c.Pod.PreferredAntiAffinity) > 0
	s := podAffinityScore{weights: domains{}}
	ours := c.NamespaceLabels(c.Pod.Namespace)
	others := namespaceLabels{of: c.NamespaceLabels}
	for _, n := range c.Snapshot.Nodes {
		concerned := n.Affine
		if own {
			concerned = n.Pods
		}
		for _, other := range concerned {
			if own {
				s.add(n, c.Pod.PreferredAffinity, other.Pod, others.get(other.Namespace), 1)
				s.add(n, c.Pod.PreferredAntiAffinity, other.Pod, others.get(other.Namespace), -1)
			}
			if p.HardWeight > 0 {
				for i := range other.RequiredAffinity {
					term := framework.WeightedAffinityTerm{AffinityTerm: other.RequiredAffinity[i], Weight: int32(p.HardWeight)}
					s.add(n, []framework.WeightedAffinityTerm{term}, c.Pod.Pod, ours, 1)
				}
			}
			if !p.IgnorePreferredOfOthers || own {
				s.add(n, other.PreferredAffinity, c.Pod.Pod, ours, 1)
				s.add(n, other.PreferredAntiAffinity, c.Pod.Pod, ours, -1)
			}
		}
	}
	if len(s.weights) == 0 {
		return nil
	}
	return s
}

// namespaceLabels remembers the last namespace that was asked for: most pods of a node, and of a walk, share one.
type namespaceLabels struct {
	of     func(namespace string) labels.Set
	name   string
	labels labels.Set
}

func (l *namespaceLabels) get(name string) labels.Set {
	if l.name != name {
		l.name, l.labels = name, l.of(name)
	}
	return l.labels
}

type podAffinityScore struct{ weights domains }

func (s podAffinityScore) add(n *snapshot.Node, terms []framework.WeightedAffinityTerm, pod *v1.Pod, labels map[string]string, sign int64) {
	for i := range terms {
		if terms[i].Matches(pod, labels) {
			s.weights.add(n, terms[i].TopologyKey, sign*int64(terms[i].Weight))
		}
	}
}

func (s podAffinityScore) Score(n *snapshot.Node) int64 {
	var sum int64
	for key := range s.weights {
		weight, _ := s.weights.of(n, key)
		sum += weight
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
