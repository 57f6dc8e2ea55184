package core

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Namespaces declares namespaces. A namespace carries the finalizer "kubernetes" until its contents are gone.
func Namespaces() *kind.Kind[*corev1.Namespace] {
	type T = *corev1.Namespace
	return &kind.Kind[T]{
		Resource: "namespaces", Singular: "namespace", ShortNames: []string{"ns"}, ClusterScoped: true,
		New:     func() T { return &corev1.Namespace{} },
		NewList: func() runtime.Object { return &corev1.NamespaceList{} },
		Spec:    kind.Field(func(n T) *corev1.NamespaceSpec { return &n.Spec }),
		Status:  kind.Field(func(n T) *corev1.NamespaceStatus { return &n.Status }),
		PrepareCreate: func(_ context.Context, n T) {
			n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
			nameLabel(n)
			if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
				n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
			}
		},
		PrepareUpdate: func(_ context.Context, n, old T) {
			n.Spec.Finalizers = old.Spec.Finalizers // only the finalize subresource changes them
			nameLabel(n)
		},
		Configure: func(store *genericregistry.Store, _ *kind.Env) error {
			store.ShouldDeleteDuringUpdate = namespaceGone
			return nil
		},
		Wrap: func(store *kind.Store, _ *kind.Env) rest.Storage { return &namespaces{plain: store, store: store} },
		Subresources: func(store *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
			return map[string]rest.Storage{"finalize": newNamespaceFinalize(store, env)}, nil
		},
		Select: func(n T, set fields.Set) { set["status.phase"] = string(n.Status.Phase) },
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Status", func(n T) string { return string(n.Status.Phase) }),
			kind.Age[T](),
		},
	}
}

// nameLabel puts the namespace's name where label selectors reach it.
func nameLabel(n *corev1.Namespace) {
	if n.Name == "" {
		return
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[corev1.LabelMetadataName] = n.Name
}
