package lifecycle

import (
	lifecyclev1alpha1 "k8s.io/api/lifecycle/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Evictions declares evictions.
func Evictions() *kind.Kind[*lifecyclev1alpha1.Eviction] {
	type T = *lifecyclev1alpha1.Eviction
	return &kind.Kind[T]{
		Group: "lifecycle.k8s.io", Versions: []string{"v1alpha1"}, Resource: "evictions", Singular: "eviction", Gate: gated.EvictionRequestAPI,
		New:             func() T { return &lifecyclev1alpha1.Eviction{} },
		NewList:         func() runtime.Object { return &lifecyclev1alpha1.EvictionList{} },
		Spec:            kind.Field(func(e T) *lifecyclev1alpha1.EvictionSpec { return &e.Spec }),
		Status:          kind.Field(func(e T) *lifecyclev1alpha1.EvictionStatus { return &e.Status }),
		StatusKeepsMeta: true,
		Generation:      true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Pod", func(e T) string {
				if e.Spec.Target.Pod == nil {
					return "<none>"
				}
				return e.Spec.Target.Pod.Name
			}),
			kind.Number("Requesters", func(e T) int { return len(e.Status.Requesters) }),
			kind.Age[T](),
		},
	}
}
