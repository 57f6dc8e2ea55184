package defaulting

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// podLevelResources completes resources that were given for the pod as a whole (KEP-2837). What is not requested there
// is requested as much as the containers request together, else as much as the limit. Huge pages cannot be
// overcommitted, so their limit comes from the containers too.
func podLevelResources(s *corev1.PodSpec) {
	r := s.Resources
	if r == nil {
		return
	}
	pod := &corev1.Pod{Spec: *s}
	for name, q := range resource.AggregateContainerLimits(pod, resource.PodResourcesOptions{}) {
		_, limited := r.Limits[name]
		_, requested := r.Requests[name]
		if !limited && !requested && strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			r.Limits = complete(r.Limits, corev1.ResourceList{name: q})
		}
	}
	r.Requests = complete(r.Requests, podLevelOnly(resource.AggregateContainerRequests(pod, resource.PodResourcesOptions{})))
	r.Requests = complete(r.Requests, podLevelOnly(r.Limits))
}

// podLevelOnly keeps the resources that may be given for a pod as a whole.
func podLevelOnly(list corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, q := range list {
		if resource.IsSupportedPodLevelResource(name) {
			out[name] = q
		}
	}
	return out
}
