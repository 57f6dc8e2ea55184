package policy

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PodDisruptionBudgets declares poddisruptionbudgets.
func PodDisruptionBudgets() *kind.Kind[*policyv1.PodDisruptionBudget] {
	type T = *policyv1.PodDisruptionBudget
	orNA := func(v *intstr.IntOrString) string {
		if v == nil {
			return "N/A"
		}
		return v.String()
	}
	return &kind.Kind[T]{
		Group: "policy", Resource: "poddisruptionbudgets", Singular: "poddisruptionbudget", ShortNames: []string{"pdb"},
		New:               func() T { return &policyv1.PodDisruptionBudget{} },
		NewList:           func() runtime.Object { return &policyv1.PodDisruptionBudgetList{} },
		Spec:              kind.Field(func(b T) *policyv1.PodDisruptionBudgetSpec { return &b.Spec }),
		Status:            kind.Field(func(b T) *policyv1.PodDisruptionBudgetStatus { return &b.Status }),
		Generation:        true,
		ConditionalUpdate: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Min Available", func(b T) string { return orNA(b.Spec.MinAvailable) }),
			kind.Text("Max Unavailable", func(b T) string { return orNA(b.Spec.MaxUnavailable) }),
			kind.Number("Allowed Disruptions", func(b T) int32 { return b.Status.DisruptionsAllowed }),
			kind.Age[T](),
		},
	}
}
