package defaulting

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// ReplicationController fills a replication controller: labels and selector come from the template.
func ReplicationController(r *corev1.ReplicationController) {
	pointer(&r.Spec.Replicas, 1)
	if r.Spec.Template == nil {
		return
	}
	PodTemplateSpec(r.Spec.Template)
	if labels := r.Spec.Template.Labels; len(labels) > 0 {
		if len(r.Spec.Selector) == 0 {
			r.Spec.Selector = maps.Clone(labels)
		}
		if len(r.Labels) == 0 {
			r.Labels = maps.Clone(labels)
		}
	}
}
