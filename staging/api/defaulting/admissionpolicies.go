package defaulting

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ValidatingAdmissionPolicy fills a validating policy.
func ValidatingAdmissionPolicy(p *admissionregistrationv1.ValidatingAdmissionPolicy) {
	pointer(&p.Spec.FailurePolicy, admissionregistrationv1.Fail)
	matchResources(p.Spec.MatchConstraints)
}

// ValidatingAdmissionPolicyBinding fills the binding of a validating policy.
func ValidatingAdmissionPolicyBinding(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	matchResources(b.Spec.MatchResources)
	paramRef(b.Spec.ParamRef)
}

// MutatingAdmissionPolicy fills a mutating policy.
func MutatingAdmissionPolicy(p *admissionregistrationv1.MutatingAdmissionPolicy) {
	pointer(&p.Spec.FailurePolicy, admissionregistrationv1.Fail)
	matchResources(p.Spec.MatchConstraints)
}

// MutatingAdmissionPolicyBinding fills the binding of a mutating policy.
func MutatingAdmissionPolicyBinding(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) {
	matchResources(b.Spec.MatchResources)
	paramRef(b.Spec.ParamRef)
}

func matchResources(m *admissionregistrationv1.MatchResources) {
	if m == nil {
		return
	}
	pointer(&m.MatchPolicy, admissionregistrationv1.Equivalent)
	pointer(&m.NamespaceSelector, metav1.LabelSelector{})
	pointer(&m.ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionregistrationv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			pointer(&rules[i].Scope, admissionregistrationv1.AllScopes)
		}
	}
}

func paramRef(r *admissionregistrationv1.ParamRef) {
	if r != nil {
		pointer(&r.ParameterNotFoundAction, admissionregistrationv1.DenyAction)
	}
}
