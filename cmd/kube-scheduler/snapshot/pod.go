package snapshot

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kube-scheduler/framework"
)

// Pod is a pod with what plugins derive from it, derived once.
type Pod struct {
	*v1.Pod
	Request                      Resource
	ScoredMilliCPU, ScoredMemory int64

	RequiredAffinity, RequiredAntiAffinity   []framework.AffinityTerm
	PreferredAffinity, PreferredAntiAffinity []framework.WeightedAffinityTerm
}

// NewPod derives. A pod whose affinity terms are malformed, which validation keeps out, has none.
func NewPod(pod *v1.Pod) *Pod {
	p := &Pod{Pod: pod, Request: requestOf(pod)}
	p.Request.Pods = 1
	p.ScoredMilliCPU, p.ScoredMemory = scoredRequestOf(pod)
	a := pod.Spec.Affinity
	if a == nil {
		return p
	}
	p.RequiredAffinity, _ = framework.GetAffinityTerms(pod, framework.GetPodAffinityTerms(a))
	p.RequiredAntiAffinity, _ = framework.GetAffinityTerms(pod, framework.GetPodAntiAffinityTerms(a))
	if a.PodAffinity != nil {
		p.PreferredAffinity, _ = framework.GetWeightedAffinityTerms(pod, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a.PodAntiAffinity != nil {
		p.PreferredAntiAffinity, _ = framework.GetWeightedAffinityTerms(pod, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return p
}

// HasAffinity tells whether the pod has affinity or anti-affinity terms.
func (p *Pod) HasAffinity() bool {
	return len(p.RequiredAffinity)+len(p.RequiredAntiAffinity)+len(p.PreferredAffinity)+len(p.PreferredAntiAffinity) > 0
}

// Key is the pod's namespace and name.
func (p *Pod) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

// HostPorts are the ports that the pod takes on its node, sidecars' among them.
func (p *Pod) HostPorts() []v1.ContainerPort {
	var ports []v1.ContainerPort
	take := func(c *v1.Container) {
		for _, port := range c.Ports {
			if port.HostPort > 0 {
				ports = append(ports, port)
			}
		}
	}
	for i := range p.Spec.Containers {
		take(&p.Spec.Containers[i])
	}
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			take(c)
		}
	}
	return ports
}
