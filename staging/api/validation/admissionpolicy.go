package validation

import (
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

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
