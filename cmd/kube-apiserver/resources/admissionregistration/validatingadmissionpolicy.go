package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ValidatingAdmissionPolicies declares validatingadmissionpolicies.
func ValidatingAdmissionPolicies() *kind.Kind[*admissionregistrationv1.ValidatingAdmissionPolicy] {
	type T = *admissionregistrationv1.ValidatingAdmissionPolicy
	return &kind.Kind[T]{
		Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies", Singular: "validatingadmissionpolicy", Categories: []string{"api-extensions"}, ClusterScoped: true,
		New:               func() T { return &admissionregistrationv1.ValidatingAdmissionPolicy{} },
		NewList:           func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicyList{} },
		Spec:              kind.Field(func(p T) *admissionregistrationv1.ValidatingAdmissionPolicySpec { return &p.Spec }),
		Status:            kind.Field(func(p T) *admissionregistrationv1.ValidatingAdmissionPolicyStatus { return &p.Status }),
		Generation:        true,
		StatusKeepsMeta:   true,
		ConditionalUpdate: true,
		Configure:         readableParamKind,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Validations", func(p T) int { return len(p.Spec.Validations) }),
			kind.Text("ParamKind", func(p T) string { return paramKind(p.Spec.ParamKind) }),
			kind.Age[T](),
		},
	}
}

func paramKind(k *admissionregistrationv1.ParamKind) string {
	if k == nil {
		return "<unset>"
	}
	return k.APIVersion + "/" + k.Kind
}

func paramRef(r *admissionregistrationv1.ParamRef) string {
	switch {
	case r == nil:
		return "<unset>"
	case r.Name == "":
		return "*"
	case r.Namespace != "":
		return r.Namespace + "/" + r.Name
	}
	return "*/" + r.Name
}
