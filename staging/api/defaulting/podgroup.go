package defaulting

import (
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
)

// PodGroup fills a group of pods that are scheduled together.
func PodGroup(g *schedulingv1alpha3.PodGroup) {
	if g.Spec.DisruptionMode == nil {
		g.Spec.DisruptionMode = &schedulingv1alpha3.DisruptionMode{Single: &schedulingv1alpha3.SingleDisruptionMode{}}
	}
}

// CompositePodGroup fills a group of such groups.
func CompositePodGroup(g *schedulingv1alpha3.CompositePodGroup) {
	if g.Spec.DisruptionMode == nil {
		g.Spec.DisruptionMode = &schedulingv1alpha3.CompositeDisruptionMode{Single: &schedulingv1alpha3.SingleCompositeDisruptionMode{}}
	}
}
