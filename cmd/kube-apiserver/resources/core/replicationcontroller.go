package core

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ReplicationControllers declares replicationcontrollers. Their pods are orphaned unless a deletion says otherwise.
func ReplicationControllers() *kind.Kind[*corev1.ReplicationController] {
	type T = *corev1.ReplicationController
	return &kind.Kind[T]{
		Resource: "replicationcontrollers", Singular: "replicationcontroller", ShortNames: []string{"rc"}, Categories: []string{"all"},
		New:        func() T { return &corev1.ReplicationController{} },
		NewList:    func() runtime.Object { return &corev1.ReplicationControllerList{} },
		Spec:       kind.Field(func(c T) *corev1.ReplicationControllerSpec { return &c.Spec }),
		Status:     kind.Field(func(c T) *corev1.ReplicationControllerStatus { return &c.Status }),
		Generation: true,
		Warnings:   kind.TemplateWarnings(func(c T) *corev1.PodTemplateSpec { return c.Spec.Template }, "spec", "template"),
		Dependents: rest.OrphanDependents,
		Subresources: func(store *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
			return map[string]rest.Storage{"scale": kind.NewScale(store, env, kind.Scaling[T]{
				Replicas: func(c T) **int32 { return &c.Spec.Replicas },
				Observed: func(c T) int32 { return c.Status.Replicas },
				Selector: func(c T) *metav1.LabelSelector { return metav1.SetAsLabelSelector(c.Spec.Selector) },
			})}, nil
		},
		Select: func(c T, set fields.Set) { set["status.replicas"] = strconv.Itoa(int(c.Status.Replicas)) },
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Number("Desired", func(c T) int32 { return replicas(c.Spec.Replicas) }),
				kind.Number("Current", func(c T) int32 { return c.Status.Replicas }),
				kind.Number("Ready", func(c T) int32 { return c.Status.ReadyReplicas }),
				kind.Age[T](),
			},
			kind.ContainerColumns(func(c T) *corev1.PodSpec {
				if c.Spec.Template == nil {
					return &corev1.PodSpec{}
				}
				return &c.Spec.Template.Spec
			}),
			kind.SelectorColumn(func(c T) *metav1.LabelSelector { return metav1.SetAsLabelSelector(c.Spec.Selector) }),
		),
	}
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
