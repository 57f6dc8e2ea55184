package defaulting

import (
	"maps"
	"math"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// Job fills a job.
func Job(j *batchv1.Job) {
	s := &j.Spec
	if s.Completions == nil && s.Parallelism == nil {
		pointer(&s.Completions, 1)
	}
	pointer(&s.Parallelism, 1)
	if s.BackoffLimitPerIndex != nil {
		pointer(&s.BackoffLimit, math.MaxInt32)
	}
	pointer(&s.BackoffLimit, 6)
	pointer(&s.CompletionMode, batchv1.NonIndexedCompletion)
	pointer(&s.Suspend, false)
	pointer(&s.ManualSelector, false)
	if s.PodFailurePolicy != nil {
		pointer(&s.PodReplacementPolicy, batchv1.Failed)
	}
	pointer(&s.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	if labels := s.Template.Labels; len(labels) > 0 && len(j.Labels) == 0 {
		j.Labels = maps.Clone(labels)
	}
	jobTemplateParts(s)
}

func jobTemplateParts(s *batchv1.JobSpec) {
	if s.PodFailurePolicy != nil {
		for i := range s.PodFailurePolicy.Rules {
			conditions := s.PodFailurePolicy.Rules[i].OnPodConditions
			for j := range conditions {
				value(&conditions[j].Status, corev1.ConditionTrue)
			}
		}
	}
	PodTemplateSpec(&s.Template)
}
