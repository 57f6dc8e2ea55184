package coordination

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Leases declares leases.
func Leases() *kind.Kind[*coordinationv1.Lease] {
	type T = *coordinationv1.Lease
	return &kind.Kind[T]{
		Group: "coordination.k8s.io", Resource: "leases", Singular: "lease",
		New:               func() T { return &coordinationv1.Lease{} },
		NewList:           func() runtime.Object { return &coordinationv1.LeaseList{} },
		CreateOnUpdate:    true,
		ConditionalUpdate: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Holder", func(l T) string {
				if l.Spec.HolderIdentity == nil {
					return ""
				}
				return *l.Spec.HolderIdentity
			}),
			kind.Age[T](),
		},
	}
}
