package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ConfigMaps declares configmaps.
func ConfigMaps() *kind.Kind[*corev1.ConfigMap] {
	type T = *corev1.ConfigMap
	return &kind.Kind[T]{
		Resource: "configmaps", Singular: "configmap", ShortNames: []string{"cm"},
		New:     func() T { return &corev1.ConfigMap{} },
		NewList: func() runtime.Object { return &corev1.ConfigMapList{} },
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Data", func(c T) int { return len(c.Data) + len(c.BinaryData) }),
			kind.Age[T](),
		},
	}
}
