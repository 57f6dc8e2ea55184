package scheduling

import (
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Workloads declares workloads (KEP-4671).
func Workloads() *kind.Kind[*schedulingv1alpha3.Workload] {
	type T = *schedulingv1alpha3.Workload
	return &kind.Kind[T]{
		Group: "scheduling.k8s.io", Versions: []string{"v1beta1", "v1alpha3"}, Resource: "workloads", Singular: "workload", Gate: gated.GenericWorkload,
		New:        func() T { return &schedulingv1alpha3.Workload{} },
		NewList:    func() runtime.Object { return &schedulingv1alpha3.WorkloadList{} },
		Spec:       kind.Field(func(w T) *schedulingv1alpha3.WorkloadSpec { return &w.Spec }),
		Generation: true,
		Columns:    []kind.Column[T]{kind.Name[T](), kind.Age[T]()},
	}
}
