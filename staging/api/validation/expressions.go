package validation

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Expressions compiles the CEL that stands in objects. Package expressions has one that compiles for v1.37.
type Expressions interface {
	// MatchConditions checks the conditions of a webhook.
	MatchConditions(list []admissionregistrationv1.MatchCondition, p *field.Path) field.ErrorList
	// ValidatingPolicy checks all expressions of a policy; p is the path of its spec.
	ValidatingPolicy(s *admissionregistrationv1.ValidatingAdmissionPolicySpec, p *field.Path) field.ErrorList
	// MutatingPolicy checks all expressions of a policy; p is the path of its spec.
	MutatingPolicy(s *admissionregistrationv1.MutatingAdmissionPolicySpec, p *field.Path) field.ErrorList
	// DeviceSelector checks an expression that selects devices.
	DeviceSelector(expression string, p *field.Path) field.ErrorList
}

// unchecked is what a Validator without Expressions uses.
type unchecked struct{}

func (unchecked) MatchConditions([]admissionregistrationv1.MatchCondition, *field.Path) field.ErrorList {
	return nil
}

func (unchecked) ValidatingPolicy(*admissionregistrationv1.ValidatingAdmissionPolicySpec, *field.Path) field.ErrorList {
	return nil
}

func (unchecked) MutatingPolicy(*admissionregistrationv1.MutatingAdmissionPolicySpec, *field.Path) field.ErrorList {
	return nil
}

func (unchecked) DeviceSelector(string, *field.Path) field.ErrorList { return nil }
