package scheduling

import (
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// CompositePodGroups declares compositepodgroups: groups of pod groups.
func CompositePodGroups() *kind.Kind[*schedulingv1alpha3.CompositePodGroup] {
	type T = *schedulingv1alpha3.CompositePodGroup
	return &kind.Kind[T]{
		Group: "scheduling.k8s.io", Versions: []string{"v1alpha3"}, Resource: "compositepodgroups", Singular: "compositepodgroup", Gate: gated.CompositePodGroup,
		New:             func() T { return &schedulingv1alpha3.CompositePodGroup{} },
		NewList:         func() runtime.Object { return &schedulingv1alpha3.CompositePodGroupList{} },
		Spec:            kind.Field(func(g T) *schedulingv1alpha3.CompositePodGroupSpec { return &g.Spec }),
		Status:          kind.Field(func(g T) *schedulingv1alpha3.CompositePodGroupStatus { return &g.Status }),
		StatusKeepsMeta: true,
		Generation:      true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Workload", func(g T) string { return workloadOf(g.Spec.WorkloadRef) }),
			kind.Text("Scheduled", func(g T) string { return scheduled(g.Status.Conditions) }),
			kind.Age[T](),
		},
	}
}
