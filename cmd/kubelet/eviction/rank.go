package eviction

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Usage is what a pod uses: bytes, inodes, processes.
type Usage struct{ Memory, Disk, Inodes, PIDs uint64 }

// Candidate is a pod that may be ended.
type Candidate struct {
	Pod   *v1.Pod
	Usage Usage
}

// Rank orders candidates, the first to be ended first: those that use more than they requested, then by priority, then
// by how much more than requested they use.
func Rank(resourceName v1.ResourceName, candidates []Candidate) []Candidate {
	out := slices.Clone(candidates)
	slices.SortStableFunc(out, func(a, b Candidate) int {
		usedA, requestedA := amounts(resourceName, a)
		usedB, requestedB := amounts(resourceName, b)
		if over := compareBool(usedA > requestedA, usedB > requestedB); over != 0 {
			return over
		}
		if p := cmp.Compare(priority(a.Pod), priority(b.Pod)); p != 0 {
			return p
		}
		return cmp.Compare(usedB-requestedB, usedA-requestedA)
	})
	return out
}

func amounts(name v1.ResourceName, c Candidate) (used, requested int64) {
	switch name {
	case v1.ResourceMemory:
		used = int64(c.Usage.Memory) // below 2^63
	case "inodes":
		used = int64(c.Usage.Inodes) // below 2^63
	case "pids":
		used = int64(c.Usage.PIDs) // below 2^63
	default:
		used = int64(c.Usage.Disk) // below 2^63
	}
	requests := resource.PodRequests(c.Pod, resource.PodResourcesOptions{})
	q := requests[name]
	return used, q.Value()
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func priority(p *v1.Pod) int32 {
	if p.Spec.Priority == nil {
		return 0
	}
	return *p.Spec.Priority
}

// systemCritical is the lowest priority of pods that the node cannot do without (PriorityClass documentation).
const systemCritical = 2000000000

// Critical pods are never ended by the node's own pressure.
func Critical(p *v1.Pod) bool {
	_, mirror := p.Annotations["kubernetes.io/config.mirror"]
	source := p.Annotations["kubernetes.io/config.source"]
	return mirror || (source != "" && source != "api") || priority(p) >= systemCritical
}
