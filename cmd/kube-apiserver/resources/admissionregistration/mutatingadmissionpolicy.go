package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// MutatingAdmissionPolicies declares mutatingadmissionpolicies.
func MutatingAdmissionPolicies() *kind.Kind[*admissionregistrationv1.MutatingAdmissionPolicy] {
	type T = *admissionregistrationv1.MutatingAdmissionPolicy
	return &kind.Kind[T]{
		Group: "admissionregistration.k8s.io", Versions: []string{"v1", "v1beta1", "v1alpha1"}, Resource: "mutatingadmissionpolicies", Singular: "mutatingadmissionpolicy", Categories: []string{"api-extensions"}, ClusterScoped: true,
		New:               func() T { return &admissionregistrationv1.MutatingAdmissionPolicy{} },
		NewList:           func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyList{} },
		Spec:              kind.Field(func(p T) *admissionregistrationv1.MutatingAdmissionPolicySpec { return &p.Spec }),
		Generation:        true,
		ConditionalUpdate: true,
		Configure:         readableParamKind,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Mutations", func(p T) int { return len(p.Spec.Mutations) }),
			kind.Text("ParamKind", func(p T) string { return paramKind(p.Spec.ParamKind) }),
			kind.Age[T](),
		},
	}
}
