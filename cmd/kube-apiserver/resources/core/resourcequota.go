package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ResourceQuotas declares resourcequotas.
func ResourceQuotas() *kind.Kind[*corev1.ResourceQuota] {
	type T = *corev1.ResourceQuota
	return &kind.Kind[T]{
		Resource: "resourcequotas", Singular: "resourcequota", ShortNames: []string{"quota"},
		New:           func() T { return &corev1.ResourceQuota{} },
		NewList:       func() runtime.Object { return &corev1.ResourceQuotaList{} },
		Spec:          kind.Field(func(q T) *corev1.ResourceQuotaSpec { return &q.Spec }),
		Status:        kind.Field(func(q T) *corev1.ResourceQuotaStatus { return &q.Status }),
		ReturnDeleted: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Request", func(q T) string { return quotaUse(q, func(n string) bool { return !strings.HasPrefix(n, "limits.") }) }),
			kind.Text("Limit", func(q T) string { return quotaUse(q, func(n string) bool { return strings.HasPrefix(n, "limits.") }) }),
			kind.Age[T](),
		},
	}
}

// quotaUse prints "resource: used/hard" of the resources that want takes, by name.
func quotaUse(q *corev1.ResourceQuota, want func(name string) bool) string {
	var parts []string
	for name, hard := range q.Status.Hard {
		if !want(string(name)) {
			continue
		}
		used := q.Status.Used[name]
		parts = append(parts, string(name)+": "+used.String()+"/"+hard.String())
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
