package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PodTemplates declares podtemplates.
func PodTemplates() *kind.Kind[*corev1.PodTemplate] {
	type T = *corev1.PodTemplate
	return &kind.Kind[T]{
		Resource: "podtemplates", Singular: "podtemplate",
		New:            func() T { return &corev1.PodTemplate{} },
		NewList:        func() runtime.Object { return &corev1.PodTemplateList{} },
		Spec:           kind.Field(func(t T) *corev1.PodTemplateSpec { return &t.Template }),
		Generation:     true,
		Warnings:       kind.TemplateWarnings(func(t T) *corev1.PodTemplateSpec { return &t.Template }, "template"),
		CreateOnUpdate: true,
		ReturnDeleted:  true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Containers", func(t T) string { return kind.ContainerNames(&t.Template.Spec) }),
			kind.Text("Images", func(t T) string { return kind.ContainerImages(&t.Template.Spec) }),
			kind.Text("Pod Labels", func(t T) string { return kind.OrNone(labels.Set(t.Template.Labels).String()) }),
		},
	}
}
