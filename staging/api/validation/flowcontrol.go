package validation

import (
	"fmt"
	"math"
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

func priorityLevelCreate(l *flowcontrolv1.PriorityLevelConfiguration) *faults {
	f := metadata(&l.ObjectMeta, cluster, subdomainName)
	priorityLevelSpec(f, l)
	levelConditions(f, l.Status.Conditions)
	return f
}

func priorityLevelUpdate(l, old *flowcontrolv1.PriorityLevelConfiguration) *faults {
	f := metadataUpdate(&l.ObjectMeta, &old.ObjectMeta)
	priorityLevelSpec(f, l)
	levelConditions(f, l.Status.Conditions)
	return f
}

func priorityLevelStatus(l, old *flowcontrolv1.PriorityLevelConfiguration) *faults {
	f := metadataUpdate(&l.ObjectMeta, &old.ObjectMeta)
	levelConditions(f, l.Status.Conditions)
	return f
}

func levelConditions(f *faults, list []flowcontrolv1.PriorityLevelConfigurationCondition) {
	p := field.NewPath("status", "conditions")
	var types seen[flowcontrolv1.PriorityLevelConfigurationConditionType]
	for i, c := range list {
		if types.again(c.Type) {
			f.duplicate(p.Index(i), "type", c.Type)
		}
		f.present(p.Index(i), "type", string(c.Type))
	}
}

func priorityLevelSpec(f *faults, l *flowcontrolv1.PriorityLevelConfiguration) {
	p := field.NewPath("spec")
	s := &l.Spec
	if (l.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt) != (s.Type == flowcontrolv1.PriorityLevelEnablementExempt) {
		f.invalid(p, "type", s.Type, "type must be 'Exempt' if and only if name is 'exempt'")
	}
	switch s.Type {
	case flowcontrolv1.PriorityLevelEnablementExempt:
		if s.Limited != nil {
			f.forbidden(p, "limited", "must be nil if the type is not Limited")
		}
		if e := s.Exempt; e != nil {
			at := p.Child("exempt")
			if e.NominalConcurrencyShares != nil {
				f.notNegative(at, "nominalConcurrencyShares", int64(*e.NominalConcurrencyShares))
			}
			lendable(f, e.LendablePercent, at)
		}
	case flowcontrolv1.PriorityLevelEnablementLimited:
		if s.Exempt != nil {
			f.forbidden(p, "exempt", "must be nil if the type is Limited")
		}
		if s.Limited == nil {
			f.required(p, "limited", "must not be empty when type is Limited")
		} else {
			limitedLevel(f, s.Limited, p.Child("limited"))
		}
	default:
		oneOf(f, p, "type", s.Type, flowcontrolv1.PriorityLevelEnablementExempt, flowcontrolv1.PriorityLevelEnablementLimited)
	}
}

func lendable(f *faults, n *int32, p *field.Path) {
	if n != nil && (*n < 0 || *n > 100) {
		f.invalid(p, "lendablePercent", *n, "must be between 0 and 100, inclusive")
	}
}

func limitedLevel(f *faults, l *flowcontrolv1.LimitedPriorityLevelConfiguration, p *field.Path) {
	if l.NominalConcurrencyShares != nil && *l.NominalConcurrencyShares < 0 {
		f.invalid(p, "nominalConcurrencyShares", *l.NominalConcurrencyShares, "must be a non-negative integer")
	}
	lendable(f, l.LendablePercent, p)
	if n := l.BorrowingLimitPercent; n != nil && *n < 0 {
		f.invalid(p, "borrowingLimitPercent", *n, "if specified, must be a non-negative integer")
	}
	at := p.Child("limitResponse")
	switch r := &l.LimitResponse; r.Type {
	case flowcontrolv1.LimitResponseTypeReject:
		if r.Queuing != nil {
			f.forbidden(at, "queuing", "must be nil if limited.limitResponse.type is not Limited")
		}
	case flowcontrolv1.LimitResponseTypeQueue:
		if r.Queuing == nil {
			f.required(at, "queuing", "must not be empty if limited.limitResponse.type is Limited")
		} else {
			queuing(f, r.Queuing, at.Child("queuing"))
		}
	default:
		oneOf(f, at, "type", r.Type, flowcontrolv1.LimitResponseTypeQueue, flowcontrolv1.LimitResponseTypeReject)
	}
}

const (
	maxQueues      = 10 * 1000 * 1000
	shuffleBits    = 60
	tooManyEntropy = "required entropy bits of deckSize %d and handSize %d should not be greater than %d"
)

// queuing checks that the shuffle of flows to queues fits into the hash of a flow.
func queuing(f *faults, q *flowcontrolv1.QueuingConfiguration, p *field.Path) {
	if q.QueueLengthLimit <= 0 {
		f.invalid(p, "queueLengthLimit", q.QueueLengthLimit, "must be positive")
	}
	switch {
	case q.Queues <= 0:
		f.invalid(p, "queues", q.Queues, "must be positive")
	case q.Queues > maxQueues:
		f.invalid(p, "queues", q.Queues, fmt.Sprintf("must not be greater than %d", maxQueues))
	}
	switch {
	case q.HandSize <= 0:
		f.invalid(p, "handSize", q.HandSize, "must be positive")
	case q.HandSize > q.Queues:
		f.invalid(p, "handSize", q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues))
	default:
		if bits := entropy(int(q.Queues), int(q.HandSize)); bits > shuffleBits {
			f.invalid(p, "handSize", q.HandSize, fmt.Sprintf(tooManyEntropy, q.Queues, q.HandSize, shuffleBits))
		}
	}
}

// entropy is how many bits it takes to deal a hand out of a deck.
func entropy(deck, hand int) int {
	ways := 1.0
	for i := range hand {
		ways *= float64(deck - i)
	}
	return int(math.Ceil(math.Log2(ways)))
}
