package core

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// selectOwnRevision completes the selectors of affinity terms (KEP-3633) and of spread constraints (KEP-3243) by the
// values that the new pod's own labels have for matchLabelKeys and mismatchLabelKeys: to the scheduler they are part of
// the selector.
func selectOwnRevision(p *corev1.Pod) {
	for i := range p.Spec.TopologySpreadConstraints {
		c := &p.Spec.TopologySpreadConstraints[i]
		completeSelector(c.LabelSelector, c.MatchLabelKeys, metav1.LabelSelectorOpIn, p.Labels)
	}
	if p.Spec.Affinity == nil {
		return
	}
	complete := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			completeTerm(&required[i], p.Labels)
		}
		for i := range preferred {
			completeTerm(&preferred[i].PodAffinityTerm, p.Labels)
		}
	}
	if a := p.Spec.Affinity.PodAffinity; a != nil {
		complete(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a := p.Spec.Affinity.PodAntiAffinity; a != nil {
		complete(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func completeTerm(t *corev1.PodAffinityTerm, labels map[string]string) {
	completeSelector(t.LabelSelector, t.MatchLabelKeys, metav1.LabelSelectorOpIn, labels)
	completeSelector(t.LabelSelector, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, labels)
}

func completeSelector(s *metav1.LabelSelector, keys []string, operator metav1.LabelSelectorOperator, labels map[string]string) {
	if s == nil {
		return // keys without a selector are refused later
	}
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
		}
	}
}
