package apps

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Deployments declares deployments.
func Deployments() *kind.Kind[*appsv1.Deployment] {
	type T = *appsv1.Deployment
	return &kind.Kind[T]{
		Group: "apps", Resource: "deployments", Singular: "deployment", ShortNames: []string{"deploy"}, Categories: []string{"all"},
		New:        func() T { return &appsv1.Deployment{} },
		NewList:    func() runtime.Object { return &appsv1.DeploymentList{} },
		Spec:       kind.Fields(kind.Field(func(d T) *appsv1.DeploymentSpec { return &d.Spec })),
		Status:     kind.Field(func(d T) *appsv1.DeploymentStatus { return &d.Status }),
		Generation: true,
		Warnings:   kind.TemplateWarnings(func(d T) *corev1.PodTemplateSpec { return &d.Spec.Template }, "spec", "template"),
		PrepareUpdate: func(_ context.Context, d, old T) {
			// Annotations travel to the replica sets, so a change of them is a change for the controller.
			if !equality.Semantic.DeepEqual(d.Annotations, old.Annotations) {
				d.Generation = old.Generation + 1
			}
		},
		PrepareStatus: func(_ context.Context, d, old T) { d.Labels = old.Labels },
		StatusResets:  []string{"labels"},
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Text("Ready", func(d T) string { return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, wanted(d.Spec.Replicas)) }),
				kind.Number("Up-to-date", func(d T) int32 { return d.Status.UpdatedReplicas }),
				kind.Number("Available", func(d T) int32 { return d.Status.AvailableReplicas }),
				kind.Age[T](),
			},
			kind.ContainerColumns(func(d T) *corev1.PodSpec { return &d.Spec.Template.Spec }),
			kind.SelectorColumn(func(d T) *metav1.LabelSelector { return d.Spec.Selector }),
		),
		Subresources: func(store *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
			return map[string]rest.Storage{"scale": kind.NewScale(store, env, kind.Scaling[T]{
				Replicas: func(d T) **int32 { return &d.Spec.Replicas },
				Observed: func(d T) int32 { return d.Status.Replicas },
				Selector: func(d T) *metav1.LabelSelector { return d.Spec.Selector },
			})}, nil
		},
	}
}

// wanted is the number of replicas asked for; unset means 1.
func wanted(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
