package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Secrets declares secrets. Watchers of one secret are indexed by name: there is one a node for each it mounts.
func Secrets() *kind.Kind[*corev1.Secret] {
	type T = *corev1.Secret
	return &kind.Kind[T]{
		Resource: "secrets", Singular: "secret",
		New:           func() T { return &corev1.Secret{} },
		NewList:       func() runtime.Object { return &corev1.SecretList{} },
		PrepareCreate: func(_ context.Context, s T) { mergeStringData(s) },
		PrepareUpdate: func(_ context.Context, s, old T) {
			mergeStringData(s)
			if s.Type == "" { // the type cannot change; one may leave it out
				s.Type = old.Type
			}
		},
		Select: func(s T, set fields.Set) { set["type"] = string(s.Type) },
		Index:  map[string]func(T) string{"metadata.name": func(s T) string { return s.Name }},
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Type", func(s T) string { return string(s.Type) }),
			kind.Number("Data", func(s T) int { return len(s.Data) }),
			kind.Age[T](),
		},
	}
}

// mergeStringData moves stringData, which is write-only, into data.
func mergeStringData(s *corev1.Secret) {
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}
