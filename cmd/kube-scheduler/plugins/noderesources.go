package plugins

import (
	"math"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// Strategy says how NodeResourcesFit scores (scoringStrategy of NodeResourcesFitArgs).
type Strategy string

const (
	LeastAllocated           Strategy = "LeastAllocated"
	MostAllocated            Strategy = "MostAllocated"
	RequestedToCapacityRatio Strategy = "RequestedToCapacityRatio"
)

// Weighted is a resource and how much it counts.
type Weighted struct {
	Name   v1.ResourceName
	Weight int64
}

// Point is one of the shape of RequestedToCapacityRatio: utilization 0–100 %, score 0–10.
type Point struct{ Utilization, Score int64 }

// NodeResourcesFit keeps pods off nodes that lack what they request, and prefers nodes by their strategy.
type NodeResourcesFit struct {
	Strategy      Strategy
	Resources     []Weighted
	Shape         []Point
	Ignored       sets.Set[string]
	IgnoredGroups sets.Set[string]
}

func (NodeResourcesFit) Name() string { return "NodeResourcesFit" }

// PrepareFilter compares the request with what is left.
func (p NodeResourcesFit) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	return FilterFunc(func(n *snapshot.Node) *framework.Status {
		short, impossible := p.lacking(c.Pod.Request, n)
		if len(short) == 0 {
			return nil
		}
		code := framework.Unschedulable
		if impossible {
			code = framework.UnschedulableAndUnresolvable // not even an empty node has as much
		}
		return framework.NewStatus(code, short...)
	}), nil
}

// lacking names what of the request the node cannot give, and whether it could not if it were empty.
func (p NodeResourcesFit) lacking(request snapshot.Resource, n *snapshot.Node) (reasons []string, impossible bool) {
	check := func(reason string, want, used, allocatable int64) {
		if want > 0 && want > allocatable-used {
			reasons = append(reasons, reason)
			impossible = impossible || want > allocatable
		}
	}
	if int64(len(n.Pods))+1 > n.Allocatable.Pods {
		reasons = append(reasons, "Too many pods")
	}
	check("Insufficient cpu", request.MilliCPU, n.Requested.MilliCPU, n.Allocatable.MilliCPU)
	check("Insufficient memory", request.Memory, n.Requested.Memory, n.Allocatable.Memory)
	check("Insufficient ephemeral-storage", request.EphemeralStorage, n.Requested.EphemeralStorage, n.Allocatable.EphemeralStorage)
	for name, want := range request.Scalar {
		if p.ignores(name) {
			continue
		}
		check("Insufficient "+string(name), want, n.Requested.Scalar[name], n.Allocatable.Scalar[name])
	}
	return reasons, impossible
}

func (p NodeResourcesFit) ignores(name v1.ResourceName) bool {
	if p.Ignored.Has(string(name)) {
		return true
	}
	for i := range name {
		if name[i] == '/' {
			return p.IgnoredGroups.Has(string(name[:i]))
		}
	}
	return false
}

// PrepareScore rates the node as it would be with the pod.
func (p NodeResourcesFit) PrepareScore(c *Cycle, _ []*snapshot.Node) Score {
	return fitScore{plugin: p, pod: c.Pod}
}

type fitScore struct {
	unscaled
	plugin NodeResourcesFit
	pod    *snapshot.Pod
}

func (s fitScore) Score(n *snapshot.Node) int64 {
	var sum, weights int64
	for _, r := range s.plugin.Resources {
		allocatable := n.Allocatable.Get(r.Name)
		if allocatable == 0 {
			continue
		}
		requested := scoredRequest(n, s.pod, r.Name)
		if r.Name != v1.ResourceCPU && r.Name != v1.ResourceMemory && s.pod.Request.Get(r.Name) == 0 {
			continue // a resource that the pod does not use says nothing of where it should go
		}
		sum += s.plugin.rate(requested, allocatable) * r.Weight
		weights += r.Weight
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}

// scoredRequest is the use of the node's resource with the pod on it.
func scoredRequest(n *snapshot.Node, pod *snapshot.Pod, name v1.ResourceName) int64 {
	switch name {
	case v1.ResourceCPU:
		return n.ScoredMilliCPU + pod.ScoredMilliCPU
	case v1.ResourceMemory:
		return n.ScoredMemory + pod.ScoredMemory
	}
	return n.Requested.Get(name) + pod.Request.Get(name)
}

func (p NodeResourcesFit) rate(requested, allocatable int64) int64 {
	switch p.Strategy {
	case MostAllocated:
		return min(requested, allocatable) * framework.MaxScore / allocatable
	case RequestedToCapacityRatio:
		return interpolate(p.Shape, requested*100/allocatable)
	default:
		return max(0, allocatable-requested) * framework.MaxScore / allocatable
	}
}

// interpolate gives the score, 0 to 100, of a utilization on a broken line.
func interpolate(shape []Point, utilization int64) int64 {
	const scale = 10 // shapes score up to 10
	for i, p := range shape {
		if utilization > p.Utilization {
			continue
		}
		if i == 0 {
			return p.Score * scale
		}
		before := shape[i-1]
		return (before.Score + (p.Score-before.Score)*(utilization-before.Utilization)/(p.Utilization-before.Utilization)) * scale
	}
	if len(shape) == 0 {
		return 0
	}
	return shape[len(shape)-1].Score * scale
}

// Wakes: a node comes or grows, a pod goes or shrinks, or the pod itself does.
func (NodeResourcesFit) Wakes(e Event, pod *snapshot.Pod) bool {
	return e.Is(framework.Node, framework.Add|framework.UpdateNodeAllocatable) ||
		e.Is(framework.AssignedPod, framework.Delete|framework.UpdatePodScaleDown) ||
		e.Is(framework.UnscheduledPod, framework.UpdatePodScaleDown)
}

// NodeResourcesBalancedAllocation prefers nodes whose resources would be used to like shares.
type NodeResourcesBalancedAllocation struct{ Resources []Weighted }

func (NodeResourcesBalancedAllocation) Name() string { return "NodeResourcesBalancedAllocation" }

// PrepareScore has no preference for a pod that requests nothing.
func (p NodeResourcesBalancedAllocation) PrepareScore(c *Cycle, _ []*snapshot.Node) Score {
	r := c.Pod.Request
	if r.MilliCPU == 0 && r.Memory == 0 && r.EphemeralStorage == 0 && len(r.Scalar) == 0 {
		return nil
	}
	return balanceScore{resources: p.Resources, pod: c.Pod}
}

type balanceScore struct {
	unscaled
	resources []Weighted
	pod       *snapshot.Pod
}

// Score is 100 less the standard deviation of the shares in per cent.
func (s balanceScore) Score(n *snapshot.Node) int64 {
	var shares []float64
	var sum float64
	for _, r := range s.resources {
		allocatable := n.Allocatable.Get(r.Name)
		if allocatable == 0 {
			continue
		}
		share := min(1, float64(n.Requested.Get(r.Name)+s.pod.Request.Get(r.Name))/float64(allocatable))
		shares = append(shares, share)
		sum += share
	}
	if len(shares) < 2 {
		return framework.MaxScore
	}
	mean := sum / float64(len(shares))
	var variance float64
	for _, share := range shares {
		variance += (share - mean) * (share - mean)
	}
	deviation := math.Sqrt(variance / float64(len(shares)))
	return int64((1 - deviation) * float64(framework.MaxScore))
}
