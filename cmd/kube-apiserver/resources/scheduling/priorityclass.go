package scheduling

import (
	"context"

	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PriorityClasses declares priorityclasses.
func PriorityClasses() *kind.Kind[*schedulingv1.PriorityClass] {
	type T = *schedulingv1.PriorityClass
	return &kind.Kind[T]{
		Group: "scheduling.k8s.io", Resource: "priorityclasses", Singular: "priorityclass", ShortNames: []string{"pc"}, ClusterScoped: true,
		New:           func() T { return &schedulingv1.PriorityClass{} },
		NewList:       func() runtime.Object { return &schedulingv1.PriorityClassList{} },
		PrepareCreate: func(_ context.Context, c T) { c.Generation = 1 },
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Value", func(c T) int32 { return c.Value }),
			kind.Flag("Global-Default", func(c T) bool { return c.GlobalDefault }),
			kind.Age[T](),
			kind.Text("PreemptionPolicy", func(c T) string {
				if c.PreemptionPolicy == nil {
					return ""
				}
				return string(*c.PreemptionPolicy)
			}),
		},
	}
}
