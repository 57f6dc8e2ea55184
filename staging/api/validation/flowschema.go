package validation

import (
	"fmt"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func flowSchemaCreate(s *flowcontrolv1.FlowSchema) *faults {
	f := metadata(&s.ObjectMeta, cluster, subdomainName)
	flowSchemaSpec(f, s)
	flowConditions(f, s.Status.Conditions)
	return f
}

func flowSchemaUpdate(s, old *flowcontrolv1.FlowSchema) *faults {
	f := metadataUpdate(&s.ObjectMeta, &old.ObjectMeta)
	flowSchemaSpec(f, s)
	flowConditions(f, s.Status.Conditions)
	return f
}

func flowSchemaStatus(s, old *flowcontrolv1.FlowSchema) *faults {
	f := metadataUpdate(&s.ObjectMeta, &old.ObjectMeta)
	flowConditions(f, s.Status.Conditions)
	return f
}

func flowConditions(f *faults, list []flowcontrolv1.FlowSchemaCondition) {
	p := field.NewPath("status", "conditions")
	var types seen[flowcontrolv1.FlowSchemaConditionType]
	for i, c := range list {
		if types.again(c.Type) {
			f.duplicate(p.Index(i), "type", c.Type)
		}
		f.present(p.Index(i), "type", string(c.Type))
	}
}

func flowSchemaSpec(f *faults, s *flowcontrolv1.FlowSchema) {
	p := field.NewPath("spec")
	n := s.Spec.MatchingPrecedence
	switch {
	case n <= 0:
		f.invalid(p, "matchingPrecedence", n, "must be a positive value")
	case n > flowcontrolv1.FlowSchemaMaxMatchingPrecedence:
		f.invalid(p, "matchingPrecedence", n, fmt.Sprintf("must not be greater than %v", flowcontrolv1.FlowSchemaMaxMatchingPrecedence))
	case n == 1 && s.Name != flowcontrolv1.FlowSchemaNameExempt:
		f.invalid(p, "matchingPrecedence", n, "only the schema named 'exempt' may have matchingPrecedence 1")
	}
	if d := s.Spec.DistinguisherMethod; d != nil {
		oneOf(f, p.Child("distinguisherMethod"), "type", d.Type, flowcontrolv1.FlowDistinguisherMethodByNamespaceType, flowcontrolv1.FlowDistinguisherMethodByUserType)
	}
	level := p.Child("priorityLevelConfiguration")
	if name := s.Spec.PriorityLevelConfiguration.Name; name == "" {
		f.required(level, "name", "must reference a priority level")
	} else {
		f.dnsSubdomain(level, "name", name)
	}
	for i := range s.Spec.Rules {
		flowRule(f, &s.Spec.Rules[i], p.Child("rules").Index(i))
	}
}

func flowRule(f *faults, r *flowcontrolv1.PolicyRulesWithSubjects, p *field.Path) {
	if len(r.Subjects) == 0 {
		f.required(p, "subjects", "subjects must contain at least one value")
	}
	for i := range r.Subjects {
		flowSubject(f, &r.Subjects[i], p.Child("subjects").Index(i))
	}
	if len(r.ResourceRules) == 0 && len(r.NonResourceRules) == 0 {
		f.required(p, "", "at least one of resourceRules and nonResourceRules has to be non-empty")
	}
	for i := range r.ResourceRules {
		rule := &r.ResourceRules[i]
		at := p.Child("resourceRules").Index(i)
		flowVerbs(f, rule.Verbs, at)
		flowWildcard(f, rule.APIGroups, at.Child("apiGroups"), "resource rules must supply at least one api group", "if '*' is present, must not specify other api groups")
		flowWildcard(f, rule.Resources, at.Child("resources"), "resource rules must supply at least one resource", "if '*' is present, must not specify other resources")
		if len(rule.Namespaces) == 0 && !rule.ClusterScope {
			f.required(at, "namespaces", "resource rules that are not cluster scoped must supply at least one namespace")
		} else if len(rule.Namespaces) > 1 && slices.Contains(rule.Namespaces, flowcontrolv1.NamespaceEvery) {
			f.invalid(at, "namespaces", rule.Namespaces, fmt.Sprintf("%q may not be accompanied by other namespaces", flowcontrolv1.NamespaceEvery))
		}
		for j, ns := range rule.Namespaces {
			if ns == flowcontrolv1.NamespaceEvery {
				continue
			}
			for _, msg := range validation.IsDNS1123Label(ns) {
				f.invalid(at.Child("namespaces").Index(j), "", ns, "nonsensical namespace name: "+msg)
			}
		}
	}
	for i := range r.NonResourceRules {
		rule := &r.NonResourceRules[i]
		at := p.Child("nonResourceRules").Index(i)
		flowVerbs(f, rule.Verbs, at)
		flowWildcard(f, rule.NonResourceURLs, at.Child("nonResourceURLs"), "nonResourceURLs must contain at least one value", "if '*' is present, must not specify other non-resource URLs")
		for j, u := range rule.NonResourceURLs {
			flowURL(f, u, at.Child("nonResourceURLs").Index(j))
		}
	}
}

func flowWildcard(f *faults, list []string, p *field.Path, none, more string) {
	if len(list) == 0 {
		f.required(p, "", none)
	} else if len(list) > 1 && slices.Contains(list, "*") {
		f.invalid(p, "", list, more)
	}
}

func flowVerbs(f *faults, verbs []string, p *field.Path) {
	flowWildcard(f, verbs, p.Child("verbs"), "verbs must contain at least one value", "if '*' is present, must not specify other verbs")
	known := []string{"create", "delete", "deletecollection", "get", "head", "list", "options", "patch", "post", "proxy", "put", "update", "watch"}
	for i, v := range verbs {
		if v != "*" && !slices.Contains(known, strings.ToLower(v)) {
			f.add(field.NotSupported(p.Child("verbs").Index(i), v, known))
		}
	}
}

func flowURL(f *faults, u string, p *field.Path) {
	switch {
	case u == "*":
	case u == "":
		f.invalid(p, "", u, "nonResourceURL must not be empty")
	case u == "/":
	case !strings.HasPrefix(u, "/"):
		f.invalid(p, "", u, "must start with slash")
	case strings.Contains(u, " "):
		f.invalid(p, "", u, "must not contain white-space")
	case strings.Contains(u, "//"):
		f.invalid(p, "", u, "must not contain double slash")
	case strings.Contains(u, "*") && (strings.Count(u, "*") > 1 || !strings.HasSuffix(u, "/*")):
		f.invalid(p, "", u, "wildcard can only do suffix matching")
	}
}

func flowSubject(f *faults, s *flowcontrolv1.Subject, p *field.Path) {
	parts := []struct {
		kind flowcontrolv1.SubjectKind
		name string
		set  bool
	}{
		{flowcontrolv1.SubjectKindServiceAccount, "serviceAccount", s.ServiceAccount != nil},
		{flowcontrolv1.SubjectKindUser, "user", s.User != nil},
		{flowcontrolv1.SubjectKindGroup, "group", s.Group != nil},
	}
	known := false
	for _, part := range parts {
		switch {
		case s.Kind == part.kind:
			known = true
			if !part.set {
				f.required(p, part.name, "subject kind '"+string(s.Kind)+"' must have '"+part.name+"'")
			}
		case part.set:
			f.forbidden(p, part.name, "'"+part.name+"' is only for subject kind '"+string(part.kind)+"'")
		}
	}
	if !known {
		oneOf(f, p, "kind", s.Kind, flowcontrolv1.SubjectKindGroup, flowcontrolv1.SubjectKindServiceAccount, flowcontrolv1.SubjectKindUser)
		return
	}
	switch {
	case s.ServiceAccount != nil:
		at := p.Child("serviceAccount")
		if f.present(at, "name", s.ServiceAccount.Name) && s.ServiceAccount.Name != flowcontrolv1.NameAll {
			f.messages(at, "name", s.ServiceAccount.Name, subdomainName(s.ServiceAccount.Name, false))
		}
		if s.ServiceAccount.Namespace == "" {
			f.required(at, "namespace", "must specify namespace for service account")
		} else {
			f.dnsLabel(at, "namespace", s.ServiceAccount.Namespace)
		}
	case s.User != nil:
		f.present(p.Child("user"), "name", s.User.Name)
	case s.Group != nil:
		f.present(p.Child("group"), "name", s.Group.Name)
	}
}
