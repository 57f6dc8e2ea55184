// Package cycle decides where a pod should run: a pure function of the pod and a snapshot of the cluster.
package cycle

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/plugins"
)

// Profile is the set of plugins that pods with one spec.schedulerName are decided by.
type Profile struct {
	Name    string
	Gates   []plugins.Gate
	Filters []plugins.Filterer
	Scorers []WeightedScorer
	Wakers  []plugins.Waker
	// Preemption tells whether pods of higher priority may displace others, and among how many candidates to choose.
	Preemption          bool
	MinCandidates       int
	MinCandidatePercent int
	// PercentageOfNodesToScore ends the search when so many nodes passed; 0 adapts to the cluster's size.
	PercentageOfNodesToScore int
}

// WeightedScorer is a scorer and what its points count.
type WeightedScorer struct {
	plugins.Scorer
	Weight int64
}

// Decision is where a pod should go, and how that was found.
type Decision struct {
	Node      string
	Evaluated int // nodes asked
	Feasible  int
	// Volumes must be bound first; nil: nothing is to be written.
	Volumes *plugins.Binding
	// Failure is set instead of Node when no node passed.
	Failure *Failure
}

// String prints the decision.
func (d Decision) String() string {
	if d.Failure != nil {
		return d.Failure.Message()
	}
	return fmt.Sprintf("node %s (%d of %d nodes evaluated passed)", d.Node, d.Feasible, d.Evaluated)
}

// Failure tells why a pod waits.
type Failure struct {
	Nodes int // in the cluster
	// Statuses are the refusals by node.
	Statuses map[string]*framework.Status
	// Common is the refusal of all nodes at once, by plugin.
	Common *framework.Status
	// Preemption is what the search for victims found out; empty: there was none.
	Preemption string
}

// Plugins names the plugins that refused: their events wake the pod.
func (f *Failure) Plugins() map[string]bool {
	names := map[string]bool{}
	if f.Common != nil {
		names[f.Common.Plugin()] = true
	}
	for _, s := range f.Statuses {
		names[s.Plugin()] = true
	}
	return names
}

// Message is the text of the PodScheduled condition and the FailedScheduling event, as users know it:
// "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. …".
func (f *Failure) Message() string {
	var b strings.Builder
	fmt.Fprintf(&b, "0/%d nodes are available: ", f.Nodes)
	if f.Common != nil {
		b.WriteString(f.Common.Message() + ".")
	} else {
		counts := map[string]int{}
		for _, s := range f.Statuses {
			for _, reason := range s.Reasons() {
				counts[reason]++
			}
		}
		b.WriteString(strings.Join(countedReasons(counts), ", ") + ".")
		if f.Nodes == 0 {
			return "no nodes available to schedule pods"
		}
	}
	if f.Preemption != "" {
		b.WriteString(" " + f.Preemption)
	}
	return b.String()
}

// Gate is the refusal of a pod that may not be considered yet.
func (p *Profile) Gate(pod *v1.Pod) *framework.Status {
	for _, g := range p.Gates {
		if s := g.PreEnqueue(pod); !s.IsSuccess() {
			return s.WithPlugin(g.Name())
		}
	}
	return nil
}
