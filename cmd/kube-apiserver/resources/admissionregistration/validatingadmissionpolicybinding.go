package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ValidatingAdmissionPolicyBindings declares validatingadmissionpolicybindings.
func ValidatingAdmissionPolicyBindings() *kind.Kind[*admissionregistrationv1.ValidatingAdmissionPolicyBinding] {
	type T = *admissionregistrationv1.ValidatingAdmissionPolicyBinding
	return &kind.Kind[T]{
		Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicybindings", Singular: "validatingadmissionpolicybinding", Categories: []string{"api-extensions"}, ClusterScoped: true,
		New:               func() T { return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{} },
		NewList:           func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{} },
		Spec:              kind.Field(func(b T) *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec { return &b.Spec }),
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
