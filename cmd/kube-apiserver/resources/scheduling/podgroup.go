package scheduling

import (
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PodGroups declares podgroups (KEP-5832).
func PodGroups() *kind.Kind[*schedulingv1alpha3.PodGroup] {
	type T = *schedulingv1alpha3.PodGroup
	return &kind.Kind[T]{
		Group: "scheduling.k8s.io", Versions: []string{"v1beta1", "v1alpha3"}, Resource: "podgroups", Singular: "podgroup", Gate: gated.GenericWorkload,
		New:             func() T { return &schedulingv1alpha3.PodGroup{} },
		NewList:         func() runtime.Object { return &schedulingv1alpha3.PodGroupList{} },
		Spec:            kind.Field(func(g T) *schedulingv1alpha3.PodGroupSpec { return &g.Spec }),
		Status:          kind.Field(func(g T) *schedulingv1alpha3.PodGroupStatus { return &g.Status }),
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

func workloadOf(r *schedulingv1alpha3.WorkloadReference) string {
	if r == nil {
		return "<none>"
	}
	return r.WorkloadName
}

func scheduled(conditions []metav1.Condition) string {
	c := meta.FindStatusCondition(conditions, schedulingv1alpha3.PodGroupInitiallyScheduled)
	if c == nil {
		return string(metav1.ConditionUnknown)
	}
	return string(c.Status)
}
