package validation

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// policyBasics checks what both kinds of policies have.
func policyBasics(f *faults, failure *admissionregistrationv1.FailurePolicyType, kind *admissionregistrationv1.ParamKind,
	match *admissionregistrationv1.MatchResources, conditions []admissionregistrationv1.MatchCondition, variables []admissionregistrationv1.Variable, p *field.Path) {
	if failure == nil {
		f.required(p, "failurePolicy", "")
	} else {
		oneOf(f, p, "failurePolicy", *failure, admissionregistrationv1.Fail, admissionregistrationv1.Ignore)
	}
	if kind != nil {
		paramKind(f, kind, p.Child("paramKind"))
	}
	if match == nil {
		f.required(p, "matchConstraints", "")
	} else {
		matchResources(f, match, p.Child("matchConstraints"))
		if len(match.ResourceRules) == 0 {
			f.required(p.Child("matchConstraints"), "resourceRules", "")
		}
	}
	matchConditions(f, conditions, p.Child("matchConditions"))
	var names seen[string]
	for i, v := range variables {
		at := p.Child("variables").Index(i)
		if v.Name == "" {
			f.required(at, "name", "name is not specified")
		} else {
			if !celIdentifier(v.Name) {
				f.invalid(at, "name", v.Name, "name is not a valid CEL identifier")
			}
			if names.again(v.Name) {
				f.duplicate(at, "name", v.Name)
			}
		}
		if strings.TrimSpace(v.Expression) == "" {
			f.required(at, "expression", "expression is not specified")
		}
	}
}

// celIdentifier tells whether a name can be used in an expression: letters, digits and "_", and no word of the language.
func celIdentifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	switch name {
	case "", "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "namespace", "null",
		"package", "return", "true", "var", "void", "while":
		return false
	}
	return true
}

func paramKind(f *faults, k *admissionregistrationv1.ParamKind, p *field.Path) {
	if f.present(p, "apiVersion", k.APIVersion) {
		gv, err := schema.ParseGroupVersion(k.APIVersion)
		if err != nil {
			f.invalid(p, "apiVersion", k.APIVersion, err.Error())
		} else {
			if gv.Group != "" {
				f.messages(p, "apiVersion", gv.Group, validation.IsDNS1123Subdomain(gv.Group))
			}
			f.messages(p, "apiVersion", gv.Version, validation.IsDNS1035Label(gv.Version))
		}
	}
	if f.present(p, "kind", k.Kind) {
		for _, msg := range validation.IsDNS1035Label(strings.ToLower(k.Kind)) {
			f.invalid(p, "kind", k.Kind, "may have mixed case, but should otherwise match: "+msg)
		}
	}
}

func matchResources(f *faults, m *admissionregistrationv1.MatchResources, p *field.Path) {
	if m.MatchPolicy == nil {
		f.required(p, "matchPolicy", "")
	} else {
		oneOf(f, p, "matchPolicy", *m.MatchPolicy, admissionregistrationv1.Equivalent, admissionregistrationv1.Exact)
	}
	if m.NamespaceSelector == nil {
		f.required(p, "namespaceSelector", "")
	}
	selector(f, m.NamespaceSelector, true, p.Child("namespaceSelector"))
	if m.ObjectSelector == nil {
		f.required(p, "objectSelector", "")
	}
	selector(f, m.ObjectSelector, true, p.Child("objectSelector"))
	for _, l := range []struct {
		name  string
		rules []admissionregistrationv1.NamedRuleWithOperations
	}{{"resourceRules", m.ResourceRules}, {"excludeResourceRules", m.ExcludeResourceRules}} {
		for i := range l.rules {
			at := p.Child(l.name).Index(i)
			var names seen[string]
			for j, n := range l.rules[i].ResourceNames {
				here := at.Child("resourceNames").Index(j)
				f.messages(here, "", n, segmentName(n, false))
				if names.again(n) {
					f.duplicate(here, "", n)
				}
			}
			rule(f, l.rules[i].Operations, &l.rules[i].Rule, at)
		}
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

func bindingBasics(f *faults, policy string, ref *admissionregistrationv1.ParamRef, match *admissionregistrationv1.MatchResources, p *field.Path) {
	if f.present(p, "policyName", policy) {
		f.messages(p, "policyName", policy, subdomainName(policy, false))
	}
	if ref != nil {
		paramRef(f, ref, p.Child("paramRef"))
	}
	if match != nil {
		matchResources(f, match, p.Child("matchResources"))
	}
}

func paramRef(f *faults, r *admissionregistrationv1.ParamRef, p *field.Path) {
	if r.Name != "" {
		f.messages(p, "name", r.Name, segmentName(r.Name, false))
		if r.Selector != nil {
			f.forbidden(p, "name", "name and selector are mutually exclusive")
		}
	}
	if r.Selector != nil {
		selector(f, r.Selector, true, p.Child("selector"))
		if r.Name != "" {
			f.forbidden(p, "selector", "name and selector are mutually exclusive")
		}
	}
	if r.Name == "" && r.Selector == nil {
		f.required(p, "", "one of name or selector must be specified")
	}
	if r.ParameterNotFoundAction == nil {
		f.required(p, "parameterNotFoundAction", "")
	} else {
		oneOf(f, p, "parameterNotFoundAction", *r.ParameterNotFoundAction, admissionregistrationv1.AllowAction, admissionregistrationv1.DenyAction)
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

func mutatingBindingCreate(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) *faults {
	f := metadata(&b.ObjectMeta, cluster, subdomainName)
	bindingBasics(f, b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources, field.NewPath("spec"))
	return f
}

func mutatingBindingUpdate(b, old *admissionregistrationv1.MutatingAdmissionPolicyBinding) *faults {
	f := metadataUpdate(&b.ObjectMeta, &old.ObjectMeta)
	bindingBasics(f, b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources, field.NewPath("spec"))
	return f
}

func (v *Validator) mutatingPolicyCreate(p *admissionregistrationv1.MutatingAdmissionPolicy) *faults {
	f := metadata(&p.ObjectMeta, cluster, subdomainName)
	mutatingPolicySpec(f, &p.Spec)
	f.add(v.expressions().MutatingPolicy(&p.Spec, field.NewPath("spec"))...)
	return f
}

func (v *Validator) mutatingPolicyUpdate(p, old *admissionregistrationv1.MutatingAdmissionPolicy) *faults {
	f := metadataUpdate(&p.ObjectMeta, &old.ObjectMeta)
	mutatingPolicySpec(f, &p.Spec)
	if !same(&p.Spec, &old.Spec) {
		f.add(v.expressions().MutatingPolicy(&p.Spec, field.NewPath("spec"))...)
	}
	return f
}

func mutatingPolicySpec(f *faults, s *admissionregistrationv1.MutatingAdmissionPolicySpec) {
	p := field.NewPath("spec")
	policyBasics(f, s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions, s.Variables, p)
	requireOneOf(f, p, "reinvocationPolicy", s.ReinvocationPolicy, admissionregistrationv1.IfNeededReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
	if len(s.Mutations) == 0 {
		f.required(p, "mutations", "mutations must contain at least one item")
	}
	for i := range s.Mutations {
		m := &s.Mutations[i]
		at := p.Child("mutations").Index(i)
		switch m.PatchType {
		case admissionregistrationv1.PatchTypeApplyConfiguration:
			mutation(f, m.ApplyConfiguration != nil, m.JSONPatch != nil, "applyConfiguration", "jsonPatch", at)
			if m.ApplyConfiguration != nil && strings.TrimSpace(m.ApplyConfiguration.Expression) == "" {
				f.required(at.Child("applyConfiguration"), "expression", "")
			}
		case admissionregistrationv1.PatchTypeJSONPatch:
			mutation(f, m.JSONPatch != nil, m.ApplyConfiguration != nil, "jsonPatch", "applyConfiguration", at)
			if m.JSONPatch != nil && strings.TrimSpace(m.JSONPatch.Expression) == "" {
				f.required(at.Child("jsonPatch"), "expression", "")
			}
		default:
			requireOneOf(f, at, "patchType", m.PatchType, admissionregistrationv1.PatchTypeApplyConfiguration, admissionregistrationv1.PatchTypeJSONPatch)
		}
	}
}

func mutation(f *faults, has, hasOther bool, name, other string, p *field.Path) {
	if !has {
		f.required(p, name, "must be specified when patchType is "+strings.ToUpper(name[:1])+name[1:])
	}
	if hasOther {
		f.forbidden(p, other, "must not be specified when patchType is "+strings.ToUpper(name[:1])+name[1:])
	}
}
