package batch

import (
	"context"
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Jobs declares jobs. Their pods are orphaned unless a deletion says otherwise.
func Jobs() *kind.Kind[*batchv1.Job] {
	type T = *batchv1.Job
	return &kind.Kind[T]{
		Group: "batch", Resource: "jobs", Singular: "job", Categories: []string{"all"},
		New:           func() T { return &batchv1.Job{} },
		NewList:       func() runtime.Object { return &batchv1.JobList{} },
		Spec:          kind.Field(func(j T) *batchv1.JobSpec { return &j.Spec }),
		Status:        kind.Field(func(j T) *batchv1.JobStatus { return &j.Status }),
		Generation:    true,
		Warnings:      kind.TemplateWarnings(func(j T) *corev1.PodTemplateSpec { return &j.Spec.Template }, "spec", "template"),
		PrepareCreate: func(_ context.Context, j T) { generateSelector(j) },
		Dependents:    rest.OrphanDependents,
		Wrap:          func(store *kind.Store, _ *kind.Env) rest.Storage { return jobs{store} },
		Select:        func(j T, set fields.Set) { set["status.successful"] = strconv.Itoa(int(j.Status.Succeeded)) },
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Text("Status", jobStatus),
				kind.Text("Completions", completions),
				kind.Text("Duration", jobDuration),
				kind.Age[T](),
			},
			kind.ContainerColumns(func(j T) *corev1.PodSpec { return &j.Spec.Template.Spec }),
			kind.SelectorColumn(func(j T) *metav1.LabelSelector { return j.Spec.Selector }),
		),
	}
}

// jobs serves jobs: who deletes them without a word of their pods hears that those stay.
type jobs struct{ *kind.Store }

// Delete implements rest.GracefulDeleter.
func (j jobs) Delete(ctx context.Context, name string, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	warnOfOrphans(ctx, options)
	return j.Store.Delete(ctx, name, admit, options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (j jobs) DeleteCollection(ctx context.Context, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions) (runtime.Object, error) {
	warnOfOrphans(ctx, options)
	return j.Store.DeleteCollection(ctx, admit, options, list)
}

func warnOfOrphans(ctx context.Context, o *metav1.DeleteOptions) {
	if o != nil && o.PropagationPolicy == nil && o.OrphanDependents == nil { //nolint:staticcheck // old clients set it
		warning.AddWarning(ctx, "", "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning")
	}
}

// generateSelector makes a selector of the job's UID, so that no two jobs share pods, unless spec.manualSelector is
// true. The labels of earlier releases (controller-uid, job-name) are kept beside the prefixed ones.
func generateSelector(j *batchv1.Job) {
	if j.Spec.ManualSelector != nil && *j.Spec.ManualSelector {
		return
	}
	if j.Spec.Template.Labels == nil {
		j.Spec.Template.Labels = map[string]string{}
	}
	labels := j.Spec.Template.Labels
	add := func(name, value string) {
		if _, set := labels[name]; !set { // a clash is found by validation, which wants the generated value
			labels[name] = value
		}
	}
	add("controller-uid", string(j.UID))
	add("job-name", j.Name)
	add(batchv1.ControllerUidLabel, string(j.UID))
	add(batchv1.JobNameLabel, j.Name)
	if j.Spec.Selector == nil {
		j.Spec.Selector = &metav1.LabelSelector{}
	}
	if j.Spec.Selector.MatchLabels == nil {
		j.Spec.Selector.MatchLabels = map[string]string{}
	}
	if _, set := j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !set {
		j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(j.UID)
	}
}

func jobStatus(j *batchv1.Job) string {
	has := func(t batchv1.JobConditionType) bool {
		for _, c := range j.Status.Conditions {
			if c.Type == t && c.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	}
	switch {
	case has(batchv1.JobComplete):
		return "Complete"
	case has(batchv1.JobFailed):
		return "Failed"
	case j.DeletionTimestamp != nil:
		return "Terminating"
	case has(batchv1.JobSuspended):
		return "Suspended"
	case has(batchv1.JobFailureTarget):
		return "FailureTarget"
	case has(batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

func completions(j *batchv1.Job) string {
	if j.Spec.Completions != nil {
		return fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
	}
	if j.Spec.Parallelism != nil && *j.Spec.Parallelism > 1 {
		return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, *j.Spec.Parallelism)
	}
	return fmt.Sprintf("%d/1", j.Status.Succeeded)
}

func jobDuration(j *batchv1.Job) string {
	switch {
	case j.Status.StartTime == nil:
		return ""
	case j.Status.CompletionTime == nil:
		return duration.HumanDuration(time.Since(j.Status.StartTime.Time))
	}
	return duration.HumanDuration(j.Status.CompletionTime.Sub(j.Status.StartTime.Time))
}
