package coordination

import (
	coordinationv1beta1 "k8s.io/api/coordination/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// LeaseCandidates declares leasecandidates.
func LeaseCandidates() *kind.Kind[*coordinationv1beta1.LeaseCandidate] {
	type T = *coordinationv1beta1.LeaseCandidate
	ago := func(t *metav1.MicroTime) string {
		if t == nil {
			return "<unset>"
		}
		return kind.Ago(metav1.Time{Time: t.Time})
	}
	return &kind.Kind[T]{
		Group: "coordination.k8s.io", Versions: []string{"v1beta1", "v1alpha2"}, Resource: "leasecandidates", Singular: "leasecandidate",
		New:               func() T { return &coordinationv1beta1.LeaseCandidate{} },
		NewList:           func() runtime.Object { return &coordinationv1beta1.LeaseCandidateList{} },
		CreateOnUpdate:    true,
		ConditionalUpdate: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("LeaseName", func(c T) string { return c.Spec.LeaseName }),
			kind.Text("BinaryVersion", func(c T) string { return c.Spec.BinaryVersion }),
			kind.Text("EmulationVersion", func(c T) string { return c.Spec.EmulationVersion }),
			kind.Text("PingTime", func(c T) string { return ago(c.Spec.PingTime) }),
			kind.Text("RenewTime", func(c T) string { return ago(c.Spec.RenewTime) }),
			kind.Text("Strategy", func(c T) string { return string(c.Spec.Strategy) }),
			kind.Age[T](),
		},
	}
}
