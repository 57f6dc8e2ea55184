package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// LimitRanges declares limitranges.
func LimitRanges() *kind.Kind[*corev1.LimitRange] {
	type T = *corev1.LimitRange
	return &kind.Kind[T]{
		Resource: "limitranges", Singular: "limitrange", ShortNames: []string{"limits"},
		New:            func() T { return &corev1.LimitRange{} },
		NewList:        func() runtime.Object { return &corev1.LimitRangeList{} },
		CreateOnUpdate: true,
		PrepareCreate: func(_ context.Context, l T) {
			if l.Name == "" && l.GenerateName == "" {
				l.Name = string(uuid.NewUUID())
			}
		},
	}
}
