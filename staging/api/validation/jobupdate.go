package validation

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func jobUpdate(j, old *batchv1.Job) *faults {
	f := metadataUpdate(&j.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("spec")
	jobSpec(f, &j.Spec, toleratedOf(&old.Spec.Template.Spec), p)
	completionsUpdate(f, &j.Spec, &old.Spec, p)
	f.immutable(p, "selector", j.Spec.Selector, old.Spec.Selector)
	jobTemplateUpdate(f, j, old, p.Child("template"))
	f.immutable(p, "completionMode", j.Spec.CompletionMode, old.Spec.CompletionMode)
	f.immutable(p, "podFailurePolicy", j.Spec.PodFailurePolicy, old.Spec.PodFailurePolicy)
	f.immutable(p, "backoffLimitPerIndex", j.Spec.BackoffLimitPerIndex, old.Spec.BackoffLimitPerIndex)
	f.immutable(p, "managedBy", j.Spec.ManagedBy, old.Spec.ManagedBy)
	f.immutable(p, "successPolicy", j.Spec.SuccessPolicy, old.Spec.SuccessPolicy)
	return f
}

// completionsUpdate lets an indexed job grow and shrink as a whole (KEP-3715).
func completionsUpdate(f *faults, s, old *batchv1.JobSpec, p *field.Path) {
	if same(s.Completions, old.Completions) {
		return
	}
	if !indexed(s) || s.Completions == nil || old.Completions == nil {
		f.immutable(p, "completions", s.Completions, old.Completions)
		return
	}
	if !same(s.Completions, s.Parallelism) {
		f.invalid(p, "completions", *s.Completions, fmt.Sprintf("can only be modified in tandem with %s", p.Root().Child("parallelism").String()))
	}
}

// neverStarted tells whether a suspended job has no pods that a changed template would contradict.
func neverStarted(old *batchv1.Job) bool {
	if old.Spec.Suspend == nil || !*old.Spec.Suspend {
		return false
	}
	if old.Status.StartTime == nil {
		return true
	}
	for _, c := range old.Status.Conditions {
		if c.Type == batchv1.JobSuspended && c.Status == corev1.ConditionTrue {
			return old.Status.Active == 0
		}
	}
	return false
}

// jobTemplateUpdate lets a queue decide, while a job is suspended, where its pods run and how much they get
// (KEP-2926, KEP-5440).
func jobTemplateUpdate(f *faults, j, old *batchv1.Job, p *field.Path) {
	if same(&j.Spec.Template, &old.Spec.Template) {
		return
	}
	before := &old.Spec.Template
	if neverStarted(old) {
		before = before.DeepCopy()
		now := &j.Spec.Template
		before.Annotations, before.Labels = now.Annotations, now.Labels
		before.Spec.NodeSelector, before.Spec.Tolerations, before.Spec.SchedulingGates = now.Spec.NodeSelector, now.Spec.Tolerations, now.Spec.SchedulingGates
		before.Spec.Affinity = withNodeAffinity(before.Spec.Affinity, now.Spec.Affinity)
		containerResourcesFrom(before.Spec.Containers, now.Spec.Containers)
		containerResourcesFrom(before.Spec.InitContainers, now.Spec.InitContainers)
	}
	f.immutable(p, "", &j.Spec.Template, before)
}

func withNodeAffinity(before, now *corev1.Affinity) *corev1.Affinity {
	var node *corev1.NodeAffinity
	if now != nil {
		node = now.NodeAffinity
	}
	switch {
	case before == nil && node == nil:
		if now != nil && now.PodAffinity == nil && now.PodAntiAffinity == nil {
			return now
		}
		return nil
	case before == nil:
		return &corev1.Affinity{NodeAffinity: node}
	}
	before.NodeAffinity = node
	if *before == (corev1.Affinity{}) && now == nil {
		return nil
	}
	return before
}

func containerResourcesFrom(before, now []corev1.Container) {
	if len(before) != len(now) {
		return
	}
	for i := range before {
		before[i].Resources = now[i].Resources
	}
}

func jobStatus(j, old *batchv1.Job) *faults {
	f := metadataUpdate(&j.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	s := &j.Status
	counts(f, p, count{"active", int64(s.Active)}, count{"succeeded", int64(s.Succeeded)}, count{"failed", int64(s.Failed)})
	f.notNegativePtr(p, "ready", s.Ready)
	f.notNegativePtr(p, "terminating", s.Terminating)
	if s.Ready != nil && *s.Ready > s.Active {
		f.invalid(p, "ready", *s.Ready, "cannot set more ready pods than active")
	}
	uncounted(f, s, p.Child("uncountedTerminatedPods"))
	jobFinish(f, j, old, p)
	return f
}

func uncounted(f *faults, s *batchv1.JobStatus, p *field.Path) {
	u := s.UncountedTerminatedPods
	if u == nil {
		return
	}
	var uids seen[string]
	for _, l := range []struct {
		name string
		n    int
		uid  func(int) string
	}{
		{"succeeded", len(u.Succeeded), func(i int) string { return string(u.Succeeded[i]) }},
		{"failed", len(u.Failed), func(i int) string { return string(u.Failed[i]) }},
	} {
		for i := range l.n {
			at := p.Child(l.name).Index(i)
			if uid := l.uid(i); uid == "" {
				f.invalid(at, "", uid, "must not be empty")
			} else if uids.again(uid) {
				f.duplicate(at, "", uid)
			}
		}
	}
}

func jobCondition(s *batchv1.JobStatus, t batchv1.JobConditionType) bool {
	for _, c := range s.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// jobFinish keeps the end of a job consistent: it ends once, in one way, with no pod left (KEP-4368).
func jobFinish(f *faults, j, old *batchv1.Job, p *field.Path) {
	s, o := &j.Status, &old.Status
	complete, failed := jobCondition(s, batchv1.JobComplete), jobCondition(s, batchv1.JobFailed)
	ended := jobCondition(o, batchv1.JobComplete) || jobCondition(o, batchv1.JobFailed)
	if complete && failed {
		f.invalid(p, "conditions", field.OmitValueType{}, "cannot set Complete=True and Failed=true conditions")
	}
	if jobCondition(o, batchv1.JobFailed) && !failed {
		f.invalid(p, "conditions", field.OmitValueType{}, "cannot disable the terminal Failed=True condition")
	}
	if jobCondition(o, batchv1.JobComplete) && !complete {
		f.invalid(p, "conditions", field.OmitValueType{}, "cannot disable the terminal Complete=True condition")
	}
	if complete && s.CompletionTime == nil {
		f.required(p, "completionTime", "completionTime is required for Complete jobs")
	}
	if !complete && s.CompletionTime != nil {
		f.invalid(p, "completionTime", s.CompletionTime, "cannot set completionTime when there is no Complete=True condition")
	}
	if !ended && (complete || failed) {
		if s.Active > 0 {
			f.invalid(p, "active", s.Active, "active>0 is invalid for finished job")
		}
		if s.Terminating != nil && *s.Terminating > 0 {
			f.invalid(p, "terminating", *s.Terminating, "terminating>0 is invalid for finished job")
		}
		if s.StartTime == nil && complete {
			f.required(p, "startTime", "startTime is required for finished job")
		}
	}
	if ended {
		f.immutable(p, "completionTime", s.CompletionTime, o.CompletionTime)
	}
	if s.StartTime != nil && s.CompletionTime != nil && s.CompletionTime.Before(s.StartTime) {
		f.invalid(p, "completionTime", s.CompletionTime, "completionTime cannot be set before startTime")
	}
	if o.StartTime != nil && s.StartTime == nil && (j.Spec.Suspend == nil || !*j.Spec.Suspend) {
		f.required(p, "startTime", "startTime cannot be removed for unsuspended job")
	}
}
