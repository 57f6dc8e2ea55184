package validation

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const maxMessage = 5 * 1024

func (v *Validator) validatingPolicyCreate(p *admissionregistrationv1.ValidatingAdmissionPolicy) *faults {
	f := metadata(&p.ObjectMeta, cluster, subdomainName)
	validatingPolicySpec(f, &p.Spec)
	f.add(v.expressions().ValidatingPolicy(&p.Spec, field.NewPath("spec"))...)
	return f
}

func (v *Validator) validatingPolicyUpdate(p, old *admissionregistrationv1.ValidatingAdmissionPolicy) *faults {
	f := metadataUpdate(&p.ObjectMeta, &old.ObjectMeta)
	validatingPolicySpec(f, &p.Spec)
	if !same(&p.Spec, &old.Spec) {
		f.add(v.expressions().ValidatingPolicy(&p.Spec, field.NewPath("spec"))...)
	}
	return f
}

func validatingPolicyStatus(p, old *admissionregistrationv1.ValidatingAdmissionPolicy) *faults {
	f := metadataUpdate(&p.ObjectMeta, &old.ObjectMeta)
	status := field.NewPath("status")
	conditionsOf(f, p.Status.Conditions, status.Child("conditions"))
	if t := p.Status.TypeChecking; t != nil {
		for i, w := range t.ExpressionWarnings {
			at := status.Child("typeChecking").Child("expressionWarnings").Index(i)
			f.present(at, "warning", w.Warning)
			f.present(at, "fieldRef", w.FieldRef)
		}
	}
	return f
}

func validatingPolicySpec(f *faults, s *admissionregistrationv1.ValidatingAdmissionPolicySpec) {
	p := field.NewPath("spec")
	policyBasics(f, s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions, s.Variables, p)
	if len(s.Validations) == 0 && len(s.AuditAnnotations) == 0 {
		f.required(p, "validations", "validations or auditAnnotations must contain at least one item")
		f.required(p, "auditAnnotations", "validations or auditAnnotations must contain at least one item")
		return
	}
	for i := range s.Validations {
		policyValidation(f, &s.Validations[i], p.Child("validations").Index(i))
	}
	var keys seen[string]
	f.tooMany(p, "auditAnnotations", len(s.AuditAnnotations), 20)
	for i, a := range s.AuditAnnotations {
		at := p.Child("auditAnnotations").Index(i)
		if f.present(at, "key", a.Key) {
			f.messages(at, "key", a.Key, validation.IsQualifiedName(a.Key))
			if keys.again(a.Key) {
				f.duplicate(at, "key", a.Key)
			}
		}
		if strings.TrimSpace(a.ValueExpression) == "" {
			f.required(at, "valueExpression", "valueExpression is not specified")
		}
		if len(a.ValueExpression) > maxMessage {
			f.tooLong(at, "valueExpression", maxMessage)
		}
	}
}

func policyValidation(f *faults, v *admissionregistrationv1.Validation, p *field.Path) {
	if strings.TrimSpace(v.Expression) == "" {
		f.required(p, "expression", "expression is not specified")
	}
	message := strings.TrimSpace(v.Message)
	switch {
	case v.Message != "" && message == "":
		f.invalid(p, "message", v.Message, "message must be non-empty if specified")
	case strings.Contains(message, "\n"):
		f.invalid(p, "message", v.Message, "message must not contain line breaks")
	case strings.Contains(v.Expression, "\n") && message == "":
		f.required(p, "message", "message must be specified if expression contains line breaks")
	}
	if v.MessageExpression != "" && strings.TrimSpace(v.MessageExpression) == "" {
		f.invalid(p, "messageExpression", v.MessageExpression, "must be non-empty if specified")
	}
	if v.Reason != nil {
		oneOf(f, p, "reason", *v.Reason, metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge, metav1.StatusReasonUnauthorized)
	}
}

func validatingBinding(f *faults, s *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
	p := field.NewPath("spec")
	bindingBasics(f, s.PolicyName, s.ParamRef, s.MatchResources, p)
	at := p.Child("validationActions")
	if len(s.ValidationActions) == 0 {
		f.required(at, "", "at least one validation action is required")
	}
	var actions seen[admissionregistrationv1.ValidationAction]
	for i, a := range s.ValidationActions {
		oneOf(f, at.Index(i), "", a, admissionregistrationv1.Audit, admissionregistrationv1.Deny, admissionregistrationv1.Warn)
		if actions.again(a) {
			f.duplicate(at.Index(i), "", a)
		}
	}
	if slices.Contains(s.ValidationActions, admissionregistrationv1.Deny) && slices.Contains(s.ValidationActions, admissionregistrationv1.Warn) {
		f.invalid(at, "", s.ValidationActions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)")
	}
}

func validatingBindingCreate(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) *faults {
	f := metadata(&b.ObjectMeta, cluster, subdomainName)
	validatingBinding(f, &b.Spec)
	return f
}

func validatingBindingUpdate(b, old *admissionregistrationv1.ValidatingAdmissionPolicyBinding) *faults {
	f := metadataUpdate(&b.ObjectMeta, &old.ObjectMeta)
	validatingBinding(f, &b.Spec)
	return f
}
