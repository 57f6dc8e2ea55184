package apps

import (
	"context"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// DaemonSets declares daemonsets.
func DaemonSets() *kind.Kind[*appsv1.DaemonSet] {
	type T = *appsv1.DaemonSet
	return &kind.Kind[T]{
		Group: "apps", Resource: "daemonsets", Singular: "daemonset", ShortNames: []string{"ds"}, Categories: []string{"all"},
		New:           func() T { return &appsv1.DaemonSet{} },
		NewList:       func() runtime.Object { return &appsv1.DaemonSetList{} },
		Spec:          kind.Field(func(d T) *appsv1.DaemonSetSpec { return &d.Spec }),
		Status:        kind.Field(func(d T) *appsv1.DaemonSetStatus { return &d.Status }),
		Generation:    true,
		Warnings:      kind.TemplateWarnings(func(d T) *corev1.PodTemplateSpec { return &d.Spec.Template }, "spec", "template"),
		PrepareCreate: func(_ context.Context, d T) { setTemplateGeneration(d, templateGeneration(d)) },
		PrepareUpdate: func(_ context.Context, d, old T) {
			n := templateGeneration(old)
			if !equality.Semantic.DeepEqual(d.Spec.Template, old.Spec.Template) {
				n++
			}
			setTemplateGeneration(d, n)
		},
		PrepareStatus: func(_ context.Context, d, old T) { setTemplateGeneration(d, templateGeneration(old)) },
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Number("Desired", func(d T) int32 { return d.Status.DesiredNumberScheduled }),
				kind.Number("Current", func(d T) int32 { return d.Status.CurrentNumberScheduled }),
				kind.Number("Ready", func(d T) int32 { return d.Status.NumberReady }),
				kind.Number("Up-to-date", func(d T) int32 { return d.Status.UpdatedNumberScheduled }),
				kind.Number("Available", func(d T) int32 { return d.Status.NumberAvailable }),
				kind.Text("Node Selector", func(d T) string { return labels.FormatLabels(d.Spec.Template.Spec.NodeSelector) }),
				kind.Age[T](),
			},
			kind.ContainerColumns(func(d T) *corev1.PodSpec { return &d.Spec.Template.Spec }),
			kind.SelectorColumn(func(d T) *metav1.LabelSelector { return d.Spec.Selector }),
		),
	}
}

// templateGeneration counts the changes of spec.template, beginning with 1. Of its field in extensions/v1beta1 an
// annotation is left, from which the controller labels pods.
func templateGeneration(d *appsv1.DaemonSet) int64 {
	n, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil || n < 1 {
		return 1
	}
	return n
}

func setTemplateGeneration(d *appsv1.DaemonSet, n int64) {
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
}
