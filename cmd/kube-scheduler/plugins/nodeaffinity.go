package plugins

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// NodeAffinity is spec.nodeSelector and spec.affinity.nodeAffinity. Added, from the configuration's
// NodeAffinityArgs, holds for every pod of the profile.
type NodeAffinity struct{ Added *v1.NodeAffinity }

func (NodeAffinity) Name() string { return "NodeAffinity" }

const (
	reasonNodeAffinity  = "node(s) didn't match Pod's node affinity/selector"
	reasonAddedAffinity = "node(s) didn't match scheduler-enforced node affinity"
)

type nodeAffinityFilter struct {
	required nodeaffinity.RequiredNodeAffinity
	added    *nodeaffinity.LazyErrorNodeSelector
	only     []string
}

// PrepareFilter parses the selectors.
func (p NodeAffinity) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	f := nodeAffinityFilter{required: nodeaffinity.GetRequiredNodeAffinity(c.Pod.Pod)}
	if p.Added != nil && p.Added.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		f.added = nodeaffinity.NewLazyErrorNodeSelector(p.Added.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	required := requiredNodeSelector(c.Pod.Pod)
	if f.added == nil && len(c.Pod.Spec.NodeSelector) == 0 && required == nil {
		return nil, nil
	}
	f.only = namedNodes(required)
	return f, nil
}

func requiredNodeSelector(pod *v1.Pod) *v1.NodeSelector {
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	return nil
}

// namedNodes gives the nodes that every term of s names by metadata.name, as DaemonSet pods do; nil: any.
func namedNodes(s *v1.NodeSelector) []string {
	if s == nil {
		return nil
	}
	var names []string
	for _, term := range s.NodeSelectorTerms {
		found := false
		for _, f := range term.MatchFields {
			if f.Key == "metadata.name" && f.Operator == v1.NodeSelectorOpIn {
				names, found = append(names, f.Values...), true
			}
		}
		if !found {
			return nil
		}
	}
	return names
}

func (f nodeAffinityFilter) Only() []string { return f.only }

func (f nodeAffinityFilter) Filter(n *snapshot.Node) *framework.Status {
	if f.added != nil {
		if ok, err := f.added.Match(n.Node); !ok || err != nil {
			return framework.NewStatus(framework.UnschedulableAndUnresolvable, reasonAddedAffinity)
		}
	}
	if ok, err := f.required.Match(n.Node); !ok || err != nil {
		return framework.NewStatus(framework.UnschedulableAndUnresolvable, reasonNodeAffinity)
	}
	return nil
}

// PrepareScore sums the weights of the preferred terms that match.
func (p NodeAffinity) PrepareScore(c *Cycle, _ []*snapshot.Node) Score {
	var terms []v1.PreferredSchedulingTerm
	if p.Added != nil {
		terms = append(terms, p.Added.PreferredDuringSchedulingIgnoredDuringExecution...)
	}
	if a := c.Pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		terms = append(terms, a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution...)
	}
	if len(terms) == 0 {
		return nil
	}
	preferred, err := nodeaffinity.NewPreferredSchedulingTerms(terms)
	if err != nil {
		return nil
	}
	return preferredScore{preferred}
}

type preferredScore struct {
	terms *nodeaffinity.PreferredSchedulingTerms
}

func (s preferredScore) Score(n *snapshot.Node) int64 { return s.terms.Score(n.Node) }
func (preferredScore) Normalize(scores []int64)       { normalize(scores, false) }

// Wakes: a node comes or changes its labels so that it matches.
func (p NodeAffinity) Wakes(e Event, pod *snapshot.Pod) bool {
	n, ok := e.New.(*v1.Node)
	if !ok || !e.Is(framework.Node, framework.Add|framework.UpdateNodeLabel) {
		return false
	}
	matches, err := nodeaffinity.GetRequiredNodeAffinity(pod.Pod).Match(n)
	return matches && err == nil
}
