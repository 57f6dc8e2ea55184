package apps

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ReplicaSets declares replicasets.
func ReplicaSets() *kind.Kind[*appsv1.ReplicaSet] {
	type T = *appsv1.ReplicaSet
	return &kind.Kind[T]{
		Group: "apps", Resource: "replicasets", Singular: "replicaset", ShortNames: []string{"rs"}, Categories: []string{"all"},
		New:        func() T { return &appsv1.ReplicaSet{} },
		NewList:    func() runtime.Object { return &appsv1.ReplicaSetList{} },
		Spec:       kind.Field(func(r T) *appsv1.ReplicaSetSpec { return &r.Spec }),
		Status:     kind.Field(func(r T) *appsv1.ReplicaSetStatus { return &r.Status }),
		Generation: true,
		Warnings:   kind.TemplateWarnings(func(r T) *corev1.PodTemplateSpec { return &r.Spec.Template }, "spec", "template"),
		Select:     func(r T, set fields.Set) { set["status.replicas"] = strconv.Itoa(int(r.Status.Replicas)) },
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Number("Desired", func(r T) int32 { return wanted(r.Spec.Replicas) }),
				kind.Number("Current", func(r T) int32 { return r.Status.Replicas }),
				kind.Number("Ready", func(r T) int32 { return r.Status.ReadyReplicas }),
				kind.Age[T](),
			},
			kind.ContainerColumns(func(r T) *corev1.PodSpec { return &r.Spec.Template.Spec }),
			kind.SelectorColumn(func(r T) *metav1.LabelSelector { return r.Spec.Selector }),
		),
		Subresources: func(store *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
			return map[string]rest.Storage{"scale": kind.NewScale(store, env, kind.Scaling[T]{
				Replicas: func(r T) **int32 { return &r.Spec.Replicas },
				Observed: func(r T) int32 { return r.Status.Replicas },
				Selector: func(r T) *metav1.LabelSelector { return r.Spec.Selector },
			})}, nil
		},
	}
}
