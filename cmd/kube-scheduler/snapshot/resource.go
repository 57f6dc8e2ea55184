// Package snapshot holds what the scheduler knows of nodes and pods: a cache that the watches feed, and immutable
// snapshots of it that decisions are made from.
package snapshot

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Requests that a container without any counts as in scores, so that nodes full of such pods do not look empty.
const (
	defaultMilliCPU = 100               // 0.1 core
	defaultMemory   = 200 * 1024 * 1024 // bytes
)

// Resource is an amount of everything a node has: CPU in thousandths of a core, memory and ephemeral storage in
// bytes, pods by number, and other resources in their own units.
type Resource struct {
	MilliCPU, Memory, EphemeralStorage int64
	Pods                               int64
	Scalar                             map[v1.ResourceName]int64
}

// NewResource reads a list.
func NewResource(list v1.ResourceList) Resource {
	var r Resource
	for name, q := range list {
		switch name {
		case v1.ResourceCPU:
			r.MilliCPU = q.MilliValue()
		case v1.ResourceMemory:
			r.Memory = q.Value()
		case v1.ResourceEphemeralStorage:
			r.EphemeralStorage = q.Value()
		case v1.ResourcePods:
			r.Pods = q.Value()
		default:
			if r.Scalar == nil {
				r.Scalar = map[v1.ResourceName]int64{}
			}
			r.Scalar[name] = q.Value()
		}
	}
	return r
}

// add adds sign times o. The map is copied first when it may be shared with a snapshot.
func (r *Resource) add(o Resource, sign int64) {
	r.MilliCPU += sign * o.MilliCPU
	r.Memory += sign * o.Memory
	r.EphemeralStorage += sign * o.EphemeralStorage
	r.Pods += sign * o.Pods
	for name, v := range o.Scalar {
		if r.Scalar == nil {
			r.Scalar = map[v1.ResourceName]int64{}
		}
		r.Scalar[name] += sign * v
	}
}

func (r Resource) clone() Resource {
	if r.Scalar != nil {
		m := make(map[v1.ResourceName]int64, len(r.Scalar))
		for k, v := range r.Scalar {
			m[k] = v
		}
		r.Scalar = m
	}
	return r
}

// Get is the amount of one resource, CPU in thousandths.
func (r Resource) Get(name v1.ResourceName) int64 {
	switch name {
	case v1.ResourceCPU:
		return r.MilliCPU
	case v1.ResourceMemory:
		return r.Memory
	case v1.ResourceEphemeralStorage:
		return r.EphemeralStorage
	case v1.ResourcePods:
		return r.Pods
	}
	return r.Scalar[name]
}

// requestOf is what the pod takes of a node: the sum over containers or the largest init container, whichever is
// more, with sidecars, pod-level requests, overhead and what in-place resizing has allocated (KEP-753, 1287, 2837).
func requestOf(pod *v1.Pod) Resource {
	return NewResource(resource.PodRequests(pod, resource.PodResourcesOptions{UseStatusResources: true}))
}

// scoredRequestOf is requestOf with the defaults for containers that request nothing.
func scoredRequestOf(pod *v1.Pod) (milliCPU, memory int64) {
	r := NewResource(resource.PodRequests(pod, resource.PodResourcesOptions{
		UseStatusResources: true,
		NonMissingContainerRequests: v1.ResourceList{
			v1.ResourceCPU:    *newMilli(defaultMilliCPU),
			v1.ResourceMemory: *newBytes(defaultMemory),
		},
	}))
	return r.MilliCPU, r.Memory
}
