package validation

import (
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Sizes of indexed jobs (KEP-2214, KEP-3850).
const (
	maxIndexedParallelism = 100000
	maxFailedIndexes      = 100000
	manyCompletions       = 100000
	maxParallelOfMany     = 10000
	maxManagedBy          = 63
)

func jobCreate(j *batchv1.Job) *faults {
	f := metadata(&j.ObjectMeta, namespaced, subdomainName)
	spec := field.NewPath("spec")
	generatedSelector(f, j)
	jobSpec(f, &j.Spec, &tolerated{}, spec)
	jobSelector(f, &j.Spec, spec)
	if indexed(&j.Spec) && j.Spec.Completions != nil && *j.Spec.Completions > 0 {
		host := fmt.Sprintf("%s-%d", j.Name, *j.Spec.Completions-1)
		for _, msg := range validation.IsDNS1123Label(host) {
			f.invalid(field.NewPath("metadata"), "name", j.Name, fmt.Sprintf("will not able to create pod with invalid DNS label %q: %s", host, msg))
		}
	}
	return f
}

func indexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
}

// generatedSelector checks that a selector which a server made is of this job only.
func generatedSelector(f *faults, j *batchv1.Job) {
	if j.Spec.ManualSelector != nil && *j.Spec.ManualSelector || j.Spec.Selector == nil {
		return
	}
	uid := string(j.UID)
	p := field.NewPath("spec")
	at := p.Child("template", "metadata", "labels")
	expected := map[string]string{
		"controller-uid": uid, batchv1.ControllerUidLabel: uid, "job-name": j.Name, batchv1.JobNameLabel: j.Name,
	}
	for _, key := range []string{batchv1.ControllerUidLabel, batchv1.JobNameLabel} {
		switch v, ok := j.Spec.Template.Labels[key]; {
		case !ok:
			f.required(at.Key(key), "", fmt.Sprintf("must be '%s'", expected[key]))
		case v != expected[key]:
			f.invalid(at, "", j.Spec.Template.Labels, fmt.Sprintf("must be '%s'", expected[key]))
		}
	}
	for key, v := range j.Spec.Selector.MatchLabels {
		if want, ok := expected[key]; ok && v != want {
			f.invalid(p, "selector", j.Spec.Selector, "`selector` not auto-generated")
			return
		}
	}
	_, legacy := j.Spec.Selector.MatchLabels["controller-uid"]
	if _, now := j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !now && !legacy {
		f.invalid(p, "selector", j.Spec.Selector, "`selector` not auto-generated")
	}
}

func jobSelector(f *faults, s *batchv1.JobSpec, p *field.Path) {
	if s.Selector == nil {
		f.required(p, "selector", "")
		return
	}
	selector(f, s.Selector, true, p.Child("selector"))
	if compiled, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !compiled.Matches(labels.Set(s.Template.Labels)) {
		f.invalid(p.Child("template", "metadata"), "labels", s.Template.Labels, noMatch)
	}
}

// jobSpec checks a job, or what a cron job will make.
func jobSpec(f *faults, s *batchv1.JobSpec, tol *tolerated, p *field.Path) {
	f.notNegativePtr(p, "parallelism", s.Parallelism)
	f.notNegativePtr(p, "completions", s.Completions)
	if s.ActiveDeadlineSeconds != nil {
		f.notNegative(p, "activeDeadlineSeconds", *s.ActiveDeadlineSeconds)
	}
	f.notNegativePtr(p, "backoffLimit", s.BackoffLimit)
	f.notNegativePtr(p, "ttlSecondsAfterFinished", s.TTLSecondsAfterFinished)
	f.notNegativePtr(p, "backoffLimitPerIndex", s.BackoffLimitPerIndex)
	f.notNegativePtr(p, "maxFailedIndexes", s.MaxFailedIndexes)
	if s.MaxFailedIndexes != nil {
		if *s.MaxFailedIndexes > maxFailedIndexes {
			f.invalid(p, "maxFailedIndexes", *s.MaxFailedIndexes, fmt.Sprintf("must be less than or equal to %d", maxFailedIndexes))
		}
		if s.BackoffLimitPerIndex == nil {
			f.required(p, "backoffLimitPerIndex", "when maxFailedIndexes is specified")
		}
	}
	if m := s.ManagedBy; m != nil {
		f.add(validation.IsDomainPrefixedPath(p.Child("managedBy"), *m)...)
		if len(*m) > maxManagedBy {
			f.tooLong(p, "managedBy", maxManagedBy)
		}
	}
	completionMode(f, s, p)
	if s.PodFailurePolicy != nil {
		podFailurePolicy(f, s, p.Child("podFailurePolicy"))
	}
	if s.SuccessPolicy != nil {
		successPolicy(f, s, p.Child("successPolicy"))
	}
	podReplacementPolicy(f, s, p)
	t := p.Child("template")
	podTemplateSpec(f, &s.Template, tol, t)
	switch policy := s.Template.Spec.RestartPolicy; policy {
	case corev1.RestartPolicyOnFailure:
		if s.PodFailurePolicy != nil {
			f.invalid(t.Child("spec"), "restartPolicy", policy, "only \"Never\" is supported when podFailurePolicy is specified")
		}
	case corev1.RestartPolicyNever, "": // podTemplateSpec requires it
	case corev1.RestartPolicyAlways:
		f.required(t.Child("spec"), "restartPolicy", `valid values: "OnFailure", "Never"`)
	default:
		oneOf(f, t.Child("spec"), "restartPolicy", policy, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	}
}

func completionMode(f *faults, s *batchv1.JobSpec, p *field.Path) {
	if s.CompletionMode != nil {
		oneOf(f, p, "completionMode", *s.CompletionMode, batchv1.IndexedCompletion, batchv1.NonIndexedCompletion)
	}
	if !indexed(s) {
		if s.BackoffLimitPerIndex != nil {
			f.invalid(p, "backoffLimitPerIndex", *s.BackoffLimitPerIndex, "requires indexed completion mode")
		}
		return
	}
	if s.Completions == nil {
		f.required(p, "completions", "when completion mode is Indexed")
	}
	if s.Parallelism != nil && *s.Parallelism > maxIndexedParallelism {
		f.invalid(p, "parallelism", *s.Parallelism, fmt.Sprintf("must be less than or equal to %d when completion mode is Indexed", maxIndexedParallelism))
	}
	if s.Completions == nil || s.MaxFailedIndexes == nil && s.BackoffLimitPerIndex == nil {
		return
	}
	if s.MaxFailedIndexes != nil && *s.MaxFailedIndexes > *s.Completions {
		f.invalid(p, "maxFailedIndexes", *s.MaxFailedIndexes, "must be less than or equal to completions")
	}
	if s.BackoffLimitPerIndex == nil || *s.Completions <= manyCompletions {
		return
	}
	text := fmt.Sprintf("when completions are above %d", manyCompletions)
	if s.MaxFailedIndexes == nil {
		f.required(p, "maxFailedIndexes", "must be specified "+text)
	} else if *s.MaxFailedIndexes > maxParallelOfMany {
		f.invalid(p, "maxFailedIndexes", *s.MaxFailedIndexes, fmt.Sprintf("must be less than or equal to %d %s", maxParallelOfMany, text))
	}
	if s.Parallelism != nil && *s.Parallelism > maxParallelOfMany {
		f.invalid(p, "parallelism", *s.Parallelism, fmt.Sprintf("must be less than or equal to %d when completions are above %s and used with backoff limit per index", maxParallelOfMany, strconv.Itoa(manyCompletions)))
	}
}

func podReplacementPolicy(f *faults, s *batchv1.JobSpec, p *field.Path) {
	switch {
	case s.PodReplacementPolicy == nil:
	case s.PodFailurePolicy != nil:
		oneOf(f, p, "podReplacementPolicy", *s.PodReplacementPolicy, batchv1.Failed)
	default:
		oneOf(f, p, "podReplacementPolicy", *s.PodReplacementPolicy, batchv1.Failed, batchv1.TerminatingOrFailed)
	}
}
