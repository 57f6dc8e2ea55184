package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// QOSClass tells how a node treats a pod when memory or CPU runs short: Guaranteed if every container's requests equal
// its limits, BestEffort if none asks for anything, else Burstable. Resources for the whole pod take precedence.
func QOSClass(pod *corev1.Pod) corev1.PodQOSClass {
	if r := pod.Spec.Resources; r != nil && (computes(r.Limits) || computes(r.Requests)) {
		return classOf(guaranteed(r), true)
	}
	all, any := true, false
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			r := &list[i].Resources
			any = any || computes(r.Limits) || computes(r.Requests)
			all = all && guaranteed(r)
		}
	}
	return classOf(all, any)
}

func classOf(guaranteed, any bool) corev1.PodQOSClass {
	switch {
	case !any:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

func computes(list corev1.ResourceList) bool {
	return !list.Cpu().IsZero() || !list.Memory().IsZero()
}

func guaranteed(r *corev1.ResourceRequirements) bool {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		limit, ok := r.Limits[name]
		if !ok || limit.IsZero() {
			return false
		}
		if q, ok := r.Requests[name]; ok && q.Cmp(limit) != 0 {
			return false
		}
	}
	return true
}

func with(list corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	list[name] = q
	return list
}
