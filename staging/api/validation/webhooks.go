package validation

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxWebhookSeconds  = 30
	maxMatchConditions = 64
)

// webhook is what validating and mutating webhooks have in common.
type webhook struct {
	admissionregistrationv1.ValidatingWebhook
	reinvocation *admissionregistrationv1.ReinvocationPolicyType
	mutating     bool
}

func validatingWebhooks(c *admissionregistrationv1.ValidatingWebhookConfiguration) []webhook {
	list := make([]webhook, len(c.Webhooks))
	for i := range c.Webhooks {
		list[i].ValidatingWebhook = c.Webhooks[i]
	}
	return list
}

func mutatingWebhooks(c *admissionregistrationv1.MutatingWebhookConfiguration) []webhook {
	list := make([]webhook, len(c.Webhooks))
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		list[i] = webhook{
			ValidatingWebhook: admissionregistrationv1.ValidatingWebhook{
				Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy, MatchPolicy: w.MatchPolicy,
				NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector, SideEffects: w.SideEffects,
				TimeoutSeconds: w.TimeoutSeconds, AdmissionReviewVersions: w.AdmissionReviewVersions, MatchConditions: w.MatchConditions,
			},
			reinvocation: w.ReinvocationPolicy,
			mutating:     true,
		}
	}
	return list
}

func (v *Validator) validatingWebhooksCreate(c *admissionregistrationv1.ValidatingWebhookConfiguration) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	v.webhooks(f, validatingWebhooks(c), nil)
	return f
}

func (v *Validator) validatingWebhooksUpdate(c, old *admissionregistrationv1.ValidatingWebhookConfiguration) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	v.webhooks(f, validatingWebhooks(c), validatingWebhooks(old))
	return f
}

func (v *Validator) mutatingWebhooksCreate(c *admissionregistrationv1.MutatingWebhookConfiguration) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	v.webhooks(f, mutatingWebhooks(c), nil)
	return f
}

func (v *Validator) mutatingWebhooksUpdate(c, old *admissionregistrationv1.MutatingWebhookConfiguration) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	v.webhooks(f, mutatingWebhooks(c), mutatingWebhooks(old))
	return f
}

// webhooks checks a list. What is wrong with any of the old ones in the same respect is tolerated in all.
func (v *Validator) webhooks(f *faults, list, old []webhook) {
	knownVersion := func(w webhook) bool { return slices.ContainsFunc(w.AdmissionReviewVersions, reviewVersion) }
	all := func(ok func(webhook) bool) bool {
		return !slices.ContainsFunc(old, func(w webhook) bool { return !ok(w) })
	}
	strictVersions := all(knownVersion)
	strictEffects := all(func(w webhook) bool { return w.SideEffects != nil && noSideEffects(*w.SideEffects) })
	strictSelectors := all(func(w webhook) bool { return !loose(w.NamespaceSelector) && !loose(w.ObjectSelector) })
	strictNames := !repeatsName(old)
	var names seen[string]
	for i := range list {
		w := &list[i]
		p := field.NewPath("webhooks").Index(i)
		f.add(validation.IsFullyQualifiedName(p.Child("name"), w.Name)...)
		if names.again(w.Name) && strictNames {
			f.duplicate(p, "name", w.Name)
		}
		reviewVersions(f, w, strictVersions, p.Child("admissionReviewVersions"))
		for j := range w.Rules {
			rule(f, w.Rules[j].Operations, &w.Rules[j].Rule, p.Child("rules").Index(j))
		}
		oneOfPtr(f, p, "failurePolicy", w.FailurePolicy, admissionregistrationv1.Fail, admissionregistrationv1.Ignore)
		oneOfPtr(f, p, "matchPolicy", w.MatchPolicy, admissionregistrationv1.Equivalent, admissionregistrationv1.Exact)
		switch {
		case w.SideEffects == nil:
			f.required(p, "sideEffects", "must specify one of None, NoneOnDryRun")
		case strictEffects:
			oneOf(f, p, "sideEffects", *w.SideEffects, admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.SideEffectClassNoneOnDryRun)
		}
		if t := w.TimeoutSeconds; t != nil && (*t < 1 || *t > maxWebhookSeconds) {
			f.invalid(p, "timeoutSeconds", *t, "the timeout value must be between 1 and 30 seconds")
		}
		selector(f, w.NamespaceSelector, strictSelectors, p.Child("namespaceSelector"))
		selector(f, w.ObjectSelector, strictSelectors, p.Child("objectSelector"))
		if w.mutating {
			oneOfPtr(f, p, "reinvocationPolicy", w.reinvocation, admissionregistrationv1.IfNeededReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
		}
		clientConfig(f, &w.ClientConfig, p.Child("clientConfig"))
		matchConditions(f, w.MatchConditions, p.Child("matchConditions"))
		if i >= len(old) || !same(old[i].MatchConditions, w.MatchConditions) {
			f.add(v.expressions().MatchConditions(w.MatchConditions, p.Child("matchConditions"))...)
		}
	}
}

func repeatsName(list []webhook) bool {
	var names seen[string]
	for i := range list {
		if names.again(list[i].Name) {
			return true
		}
	}
	return false
}

func reviewVersion(v string) bool { return v == "v1" || v == "v1beta1" }

func noSideEffects(c admissionregistrationv1.SideEffectClass) bool {
	return c == admissionregistrationv1.SideEffectClassNone || c == admissionregistrationv1.SideEffectClassNoneOnDryRun
}

func reviewVersions(f *faults, w *webhook, strict bool, p *field.Path) {
	if len(w.AdmissionReviewVersions) == 0 {
		f.required(p, "", "must specify one of v1, v1beta1")
		return
	}
	var versions seen[string]
	known := false
	for i, version := range w.AdmissionReviewVersions {
		if versions.again(version) {
			f.invalid(p.Index(i), "", version, "duplicate version")
			continue
		}
		f.messages(p.Index(i), "", version, validation.IsDNS1035Label(version))
		known = known || reviewVersion(version)
	}
	if strict && !known {
		f.invalid(p, "", w.AdmissionReviewVersions, "must include at least one of v1, v1beta1")
	}
}

// matchConditions checks everything but the expressions themselves.
func matchConditions(f *faults, list []admissionregistrationv1.MatchCondition, p *field.Path) {
	f.tooMany(p, "", len(list), maxMatchConditions)
	var names seen[string]
	for i, c := range list {
		at := p.Index(i)
		if strings.TrimSpace(c.Expression) == "" {
			f.required(at, "expression", "")
		}
		if c.Name == "" {
			f.required(at, "name", "")
			continue
		}
		f.messages(at, "name", c.Name, validation.IsQualifiedName(c.Name))
		if names.again(c.Name) {
			f.duplicate(at, "name", c.Name)
		}
	}
}

// rule checks what operations on what resources are meant.
func rule(f *faults, operations []admissionregistrationv1.OperationType, r *admissionregistrationv1.Rule, p *field.Path) {
	if len(r.APIGroups) == 0 {
		f.required(p, "apiGroups", "")
	}
	if len(r.APIGroups) > 1 && slices.Contains(r.APIGroups, "*") {
		f.invalid(p, "apiGroups", r.APIGroups, "if '*' is present, must not specify other API groups")
	}
	if len(r.APIVersions) == 0 {
		f.required(p, "apiVersions", "")
	}
	if len(r.APIVersions) > 1 && slices.Contains(r.APIVersions, "*") {
		f.invalid(p, "apiVersions", r.APIVersions, "if '*' is present, must not specify other API versions")
	}
	for i, v := range r.APIVersions {
		f.present(p.Child("apiVersions").Index(i), "", v)
	}
	ruleResources(f, r.Resources, p.Child("resources"))
	oneOfPtr(f, p, "scope", r.Scope, admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, admissionregistrationv1.NamespacedScope)
	if len(operations) == 0 {
		f.required(p, "operations", "")
	}
	if len(operations) > 1 && slices.Contains(operations, admissionregistrationv1.OperationAll) {
		f.invalid(p, "operations", operations, "if '*' is present, must not specify other operations")
	}
	for i, o := range operations {
		oneOf(f, p.Child("operations").Index(i), "", o, admissionregistrationv1.OperationAll, admissionregistrationv1.Connect,
			admissionregistrationv1.Create, admissionregistrationv1.Delete, admissionregistrationv1.Update)
	}
}

// ruleResources refuses what a wildcard already says.
func ruleResources(f *faults, list []string, p *field.Path) {
	if len(list) == 0 {
		f.required(p, "", "")
	}
	var wholes, parts seen[string] // resource/* and */subresource so far
	for i, r := range list {
		at := p.Index(i)
		if r == "" {
			f.required(at, "", "")
			continue
		}
		res, sub, ok := strings.Cut(r, "/")
		if !ok {
			continue
		}
		if wholes.has(res) {
			f.invalid(at, "", r, fmt.Sprintf("if '%s/*' is present, must not specify %s", res, r))
		}
		if parts.has(sub) {
			f.invalid(at, "", r, fmt.Sprintf("if '*/%s' is present, must not specify %s", sub, r))
		}
		if sub == "*" {
			wholes.again(res)
		}
		if res == "*" {
			parts.again(sub)
		}
	}
	if len(list) > 1 && slices.Contains(list, "*/*") {
		f.invalid(p, "", list, "if '*/*' is present, must not specify other resources")
	}
	bare := 0
	for _, r := range list {
		if !strings.Contains(r, "/") {
			bare++
		}
	}
	if bare > 1 && slices.Contains(list, "*") {
		f.invalid(p, "", list, "if '*' is present, must not specify other resources without subresources")
	}
}

func clientConfig(f *faults, c *admissionregistrationv1.WebhookClientConfig, p *field.Path) {
	switch {
	case (c.URL == nil) == (c.Service == nil):
		f.required(p, "", "exactly one of url or service is required")
	case c.URL != nil:
		webhookURL(f, *c.URL, p)
	default:
		webhookService(f, c.Service, p.Child("service"))
	}
}

func webhookURL(f *faults, raw string, p *field.Path) {
	const form = "; desired format: https://host[:port]/path"
	u, err := url.Parse(raw)
	if err != nil {
		f.required(p, "url", "url parse error: "+err.Error()+form)
		return
	}
	if u.Scheme != "https" {
		f.invalid(p, "url", u.Scheme, "'https' is the only allowed URL scheme"+form)
	}
	if u.Host == "" {
		f.invalid(p, "url", u.Host, "host must be specified"+form)
	}
	if u.User != nil {
		f.invalid(p, "url", u.User.String(), "user information is not permitted in the URL")
	}
	if u.Fragment != "" {
		f.invalid(p, "url", u.Fragment, "fragments are not permitted in the URL")
	}
	if u.RawQuery != "" {
		f.invalid(p, "url", u.RawQuery, "query parameters are not permitted in the URL")
	}
}

func webhookService(f *faults, s *admissionregistrationv1.ServiceReference, p *field.Path) {
	if s.Name == "" {
		f.required(p, "name", "service name is required")
	}
	if s.Namespace == "" {
		f.required(p, "namespace", "service namespace is required")
	}
	if s.Port == nil {
		f.required(p, "port", "service port is required")
	} else {
		for _, msg := range validation.IsValidPortNum(int(*s.Port)) {
			f.invalid(p, "port", *s.Port, "port is not valid: "+msg)
		}
	}
	if s.Path == nil || *s.Path == "" {
		return
	}
	path := *s.Path
	if path == "/" {
		return
	}
	if !strings.HasPrefix(path, "/") {
		f.invalid(p, "path", path, "must start with a '/'")
	}
	steps := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	for i, step := range steps {
		if step == "" {
			f.invalid(p, "path", path, fmt.Sprintf("segment[%d] may not be empty", i))
			continue
		}
		for _, msg := range validation.IsDNS1123Subdomain(step) {
			f.invalid(p, "path", path, fmt.Sprintf("segment[%d]: %v", i, msg))
		}
	}
}
