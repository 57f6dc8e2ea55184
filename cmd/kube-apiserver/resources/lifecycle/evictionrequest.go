package lifecycle

import (
	lifecyclev1alpha1 "k8s.io/api/lifecycle/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// EvictionRequests declares evictionrequests.
func EvictionRequests() *kind.Kind[*lifecyclev1alpha1.EvictionRequest] {
	type T = *lifecyclev1alpha1.EvictionRequest
	return &kind.Kind[T]{
		Group: "lifecycle.k8s.io", Versions: []string{"v1alpha1"}, Resource: "evictionrequests", Singular: "evictionrequest", Gate: gated.EvictionRequestAPI,
		New:             func() T { return &lifecyclev1alpha1.EvictionRequest{} },
		NewList:         func() runtime.Object { return &lifecyclev1alpha1.EvictionRequestList{} },
		Spec:            kind.Field(func(r T) *lifecyclev1alpha1.EvictionRequestSpec { return &r.Spec }),
		Status:          kind.Field(func(r T) *lifecyclev1alpha1.EvictionRequestStatus { return &r.Status }),
		StatusKeepsMeta: true,
		Generation:      true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Pod", func(r T) string {
				if r.Spec.Target.Pod == nil {
					return "<none>"
				}
				return r.Spec.Target.Pod.Name
			}),
			kind.Text("Requester", func(r T) string { return r.Spec.Requester }),
			kind.Text("Intent", func(r T) string { return string(r.Spec.Intent) }),
			kind.Age[T](),
		},
	}
}
