package resource

import (
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ResourcePoolStatusRequests declares resourcepoolstatusrequests.
func ResourcePoolStatusRequests() *kind.Kind[*resourcev1alpha3.ResourcePoolStatusRequest] {
	type T = *resourcev1alpha3.ResourcePoolStatusRequest
	return &kind.Kind[T]{
		Group: "resource.k8s.io", Versions: []string{"v1alpha3"}, Resource: "resourcepoolstatusrequests", Singular: "resourcepoolstatusrequest",
		Gate: gated.DRAResourcePoolStatus, ClusterScoped: true,
		New:             func() T { return &resourcev1alpha3.ResourcePoolStatusRequest{} },
		NewList:         func() runtime.Object { return &resourcev1alpha3.ResourcePoolStatusRequestList{} },
		Spec:            kind.Field(func(r T) *resourcev1alpha3.ResourcePoolStatusRequestSpec { return &r.Spec }),
		Status:          kind.Field(func(r T) **resourcev1alpha3.ResourcePoolStatusRequestStatus { return &r.Status }),
		StatusKeepsMeta: true,
		Generation:      true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Driver", func(r T) string { return r.Spec.Driver }),
			kind.Text("Pool", func(r T) string {
				if r.Spec.PoolName == nil {
					return "<all>"
				}
				return *r.Spec.PoolName
			}),
			kind.Text("State", func(r T) string {
				if r.Status != nil {
					for _, c := range r.Status.Conditions {
						if c.Status == metav1.ConditionTrue {
							return c.Type
						}
					}
				}
				return "Pending"
			}),
			kind.Age[T](),
		},
	}
}
