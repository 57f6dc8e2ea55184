package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ServiceAccounts declares serviceaccounts.
func ServiceAccounts() *kind.Kind[*corev1.ServiceAccount] {
	type T = *corev1.ServiceAccount
	return &kind.Kind[T]{
		Resource: "serviceaccounts", Singular: "serviceaccount", ShortNames: []string{"sa"},
		New:           func() T { return &corev1.ServiceAccount{} },
		NewList:       func() runtime.Object { return &corev1.ServiceAccountList{} },
		ReturnDeleted: true,
		Subresources:  serviceAccountSubresources,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Secrets", func(s T) int { return len(s.Secrets) }),
			kind.Age[T](),
		},
	}
}
