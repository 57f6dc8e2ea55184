package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// MutatingAdmissionPolicyBindings declares mutatingadmissionpolicybindings.
func MutatingAdmissionPolicyBindings() *kind.Kind[*admissionregistrationv1.MutatingAdmissionPolicyBinding] {
	type T = *admissionregistrationv1.MutatingAdmissionPolicyBinding
	return &kind.Kind[T]{
		Group: "admissionregistration.k8s.io", Versions: []string{"v1", "v1beta1", "v1alpha1"}, Resource: "mutatingadmissionpolicybindings", Singular: "mutatingadmissionpolicybinding", Categories: []string{"api-extensions"}, ClusterScoped: true,
		New:               func() T { return &admissionregistrationv1.MutatingAdmissionPolicyBinding{} },
		NewList:           func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyBindingList{} },
		Spec:              kind.Field(func(b T) *admissionregistrationv1.MutatingAdmissionPolicyBindingSpec { return &b.Spec }),
		Generation:        true,
		ConditionalUpdate: true,
		Configure:         readableParamRef,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("PolicyName", func(b T) string { return b.Spec.PolicyName }),
			kind.Text("ParamRef", func(b T) string { return paramRef(b.Spec.ParamRef) }),
			kind.Age[T](),
		},
	}
}
