package apps

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// StatefulSets declares statefulsets.
func StatefulSets() *kind.Kind[*appsv1.StatefulSet] {
	type T = *appsv1.StatefulSet
	return &kind.Kind[T]{
		Group: "apps", Resource: "statefulsets", Singular: "statefulset", ShortNames: []string{"sts"}, Categories: []string{"all"},
		New:        func() T { return &appsv1.StatefulSet{} },
		NewList:    func() runtime.Object { return &appsv1.StatefulSetList{} },
		Spec:       kind.Field(func(s T) *appsv1.StatefulSetSpec { return &s.Spec }),
		Status:     kind.Field(func(s T) *appsv1.StatefulSetStatus { return &s.Status }),
		Generation: true,
		Warnings:   kind.TemplateWarnings(func(s T) *corev1.PodTemplateSpec { return &s.Spec.Template }, "spec", "template"),
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Text("Ready", func(s T) string { return fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, wanted(s.Spec.Replicas)) }),
				kind.Age[T](),
			},
			kind.ContainerColumns(func(s T) *corev1.PodSpec { return &s.Spec.Template.Spec }),
		),
		Subresources: func(store *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
			return map[string]rest.Storage{"scale": kind.NewScale(store, env, kind.Scaling[T]{
				Replicas: func(s T) **int32 { return &s.Spec.Replicas },
				Observed: func(s T) int32 { return s.Status.Replicas },
				Selector: func(s T) *metav1.LabelSelector { return s.Spec.Selector },
			})}, nil
		},
	}
}
