package batch

import (
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// CronJobs declares cronjobs.
func CronJobs() *kind.Kind[*batchv1.CronJob] {
	type T = *batchv1.CronJob
	return &kind.Kind[T]{
		Group: "batch", Resource: "cronjobs", Singular: "cronjob", ShortNames: []string{"cj"}, Categories: []string{"all"},
		New:        func() T { return &batchv1.CronJob{} },
		NewList:    func() runtime.Object { return &batchv1.CronJobList{} },
		Spec:       kind.Field(func(c T) *batchv1.CronJobSpec { return &c.Spec }),
		Status:     kind.Field(func(c T) *batchv1.CronJobStatus { return &c.Status }),
		Generation: true,
		Warnings:   kind.TemplateWarnings(func(c T) *corev1.PodTemplateSpec { return &c.Spec.JobTemplate.Spec.Template }, "spec", "jobTemplate", "spec", "template"),
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Text("Schedule", func(c T) string { return c.Spec.Schedule }),
				kind.Text("Timezone", func(c T) string {
					if c.Spec.TimeZone == nil {
						return "<none>"
					}
					return *c.Spec.TimeZone
				}),
				kind.Text("Suspend", func(c T) string {
					if c.Spec.Suspend == nil {
						return "<unset>"
					}
					return strings.ToUpper(strconv.FormatBool(*c.Spec.Suspend)[:1]) + strconv.FormatBool(*c.Spec.Suspend)[1:]
				}),
				kind.Number("Active", func(c T) int { return len(c.Status.Active) }),
				kind.Text("Last Schedule", func(c T) string {
					if c.Status.LastScheduleTime == nil {
						return "<none>"
					}
					return kind.Ago(*c.Status.LastScheduleTime)
				}),
				kind.Age[T](),
			},
			kind.ContainerColumns(func(c T) *corev1.PodSpec { return &c.Spec.JobTemplate.Spec.Template.Spec }),
			kind.SelectorColumn(func(c T) *metav1.LabelSelector { return c.Spec.JobTemplate.Spec.Selector }),
		),
	}
}
