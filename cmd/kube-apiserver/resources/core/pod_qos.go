package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// QOSClass is the quality of service of a pod by its requests and limits of CPU and memory: Guaranteed when every
// container limits both and requests as much, BestEffort when none asks for either, else Burstable. Resources of the
// pod as a whole, where set, decide alone (KEP-2837).
func QOSClass(p *corev1.Pod) corev1.PodQOSClass {
	if r := p.Spec.Resources; r != nil && (counts(r.Requests) || counts(r.Limits)) {
		return class([]corev1.ResourceRequirements{*r})
	}
	all := make([]corev1.ResourceRequirements, 0, len(p.Spec.Containers)+len(p.Spec.InitContainers))
	for i := range p.Spec.Containers {
		all = append(all, p.Spec.Containers[i].Resources)
	}
	for i := range p.Spec.InitContainers {
		all = append(all, p.Spec.InitContainers[i].Resources)
	}
	return class(all)
}

var qosResources = [...]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

func counts(list corev1.ResourceList) bool {
	for _, name := range qosResources {
		if q, ok := list[name]; ok && q.Sign() > 0 {
			return true
		}
	}
	return false
}

func class(all []corev1.ResourceRequirements) corev1.PodQOSClass {
	requests, limits := map[corev1.ResourceName]*resource.Quantity{}, map[corev1.ResourceName]*resource.Quantity{}
	everyLimited := true
	add := func(sum map[corev1.ResourceName]*resource.Quantity, list corev1.ResourceList) (found int) {
		for _, name := range qosResources {
			q, ok := list[name]
			if !ok || q.Sign() <= 0 {
				continue
			}
			found++
			if sum[name] == nil {
				sum[name] = &resource.Quantity{}
			}
			sum[name].Add(q)
		}
		return found
	}
	for i := range all {
		add(requests, all[i].Requests)
		if add(limits, all[i].Limits) < len(qosResources) {
			everyLimited = false
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	if everyLimited && len(requests) == len(limits) {
		for name, r := range requests {
			if l := limits[name]; l == nil || l.Cmp(*r) != 0 {
				return corev1.PodQOSBurstable
			}
		}
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}
