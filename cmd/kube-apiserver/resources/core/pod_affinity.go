package core

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// selectOwnRevision completes the selectors of affinity terms by the values that the new pod's own labels have for
// matchLabelKeys and mismatchLabelKeys (KEP-3633): to the scheduler they are part of the selector.
func selectOwnRevision(p *corev1.Pod) {
	if p.Spec.Affinity == nil {
		return
	}
	complete := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			completeSelector(&required[i], p.Labels)
		}
		for i := range preferred {
			completeSelector(&preferred[i].PodAffinityTerm, p.Labels)
		}
	}
	if a := p.Spec.Affinity.PodAffinity; a != nil {
		complete(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a := p.Spec.Affinity.PodAntiAffinity; a != nil {
		complete(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func completeSelector(t *corev1.PodAffinityTerm, labels map[string]string) {
	if t.LabelSelector == nil {
		return // keys without a selector are refused later
	}
	add := func(keys []string, operator metav1.LabelSelectorOperator) {
		for _, key := range keys {
			if value, ok := labels[key]; ok {
				t.LabelSelector.MatchExpressions = append(t.LabelSelector.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
			}
		}
	}
	add(t.MatchLabelKeys, metav1.LabelSelectorOpIn)
	add(t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn)
}
