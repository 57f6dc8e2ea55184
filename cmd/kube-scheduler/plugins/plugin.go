// Package plugins holds the rules by which pods find nodes, one file a plugin. A plugin looks at a pod and a snapshot
// and prepares, once for the pod, the question it asks of each node. Plugins change nothing; what a decision needs to
// have written (volume bindings) it says in the decision.
package plugins

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// Plugin has the name that KubeSchedulerConfiguration knows it by.
type Plugin interface{ Name() string }

// Cycle is what plugins see: one pod, the cluster, and the objects around it.
type Cycle struct {
	Pod      *snapshot.Pod
	Snapshot *snapshot.Snapshot
	// NamespaceLabels are the labels of each namespace, for affinity terms that select namespaces.
	NamespaceLabels func(namespace string) labels.Set
}

// Filterer is a plugin that excludes nodes. PrepareFilter returns nil when the pod asks nothing of the plugin. A status
// other than success excludes every node.
type Filterer interface {
	Plugin
	PrepareFilter(c *Cycle) (Filter, *framework.Status)
}

// Filter answers for one node; nil: the pod may run there. It is called from several goroutines.
type Filter interface {
	Filter(n *snapshot.Node) *framework.Status
}

// FilterFunc is a Filter without state.
type FilterFunc func(n *snapshot.Node) *framework.Status

// Filter calls f.
func (f FilterFunc) Filter(n *snapshot.Node) *framework.Status { return f(n) }

// Narrower is a Filter that knows the only nodes that can pass.
type Narrower interface {
	Filter
	Only() []string
}

// Scorer is a plugin that prefers nodes. PrepareScore gets the nodes that passed and returns nil when it has no
// preference for the pod.
type Scorer interface {
	Plugin
	PrepareScore(c *Cycle, nodes []*snapshot.Node) Score
}

// Score rates nodes. Normalize brings the scores of all nodes between 0 and 100.
type Score interface {
	Score(n *snapshot.Node) int64
	Normalize(scores []int64)
}

// Gate is a plugin that keeps a pod from being considered; nil: it may be.
type Gate interface {
	Plugin
	PreEnqueue(pod *v1.Pod) *framework.Status
}

// Waker is a plugin that knows which events may let a pod pass that it refused.
type Waker interface {
	Plugin
	Wakes(e Event, pod *snapshot.Pod) bool
}

// Event is a change in the cluster. Old and New are the object before and after; nil where there is none.
type Event struct {
	Resource framework.EventResource
	Action   framework.ActionType
	Old, New any
}

// Is reports whether the event is of the resource and has one of the actions.
func (e Event) Is(resource framework.EventResource, action framework.ActionType) bool {
	return e.Resource == resource && e.Action&action != 0
}

// unscaled is a Score whose values lie between 0 and 100 already.
type unscaled struct{}

func (unscaled) Normalize([]int64) {}

// normalize scales scores so that the largest is 100, or the smallest when less is better.
func normalize(scores []int64, lessIsBetter bool) {
	var largest int64
	for _, s := range scores {
		largest = max(largest, s)
	}
	for i, s := range scores {
		if largest > 0 {
			s = s * framework.MaxScore / largest
		}
		if lessIsBetter {
			s = framework.MaxScore - s
		}
		scores[i] = s
	}
}
