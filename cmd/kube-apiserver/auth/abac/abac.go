// Package abac authorizes by a file of policies, one JSON object a line
// (https://kubernetes.io/docs/reference/access-authn-authz/abac/).
package abac

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

const (
	policyKind    = "Policy"
	policyVersion = "abac.authorization.kubernetes.io/v1beta1"
)

// policy is one line.
type policy struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       spec   `json:"spec"`
}

type spec struct {
	User            string `json:"user,omitempty"`
	Group           string `json:"group,omitempty"`
	Readonly        bool   `json:"readonly,omitempty"`
	APIGroup        string `json:"apiGroup,omitempty"`
	Resource        string `json:"resource,omitempty"`
	Namespace       string `json:"namespace,omitempty"`
	NonResourcePath string `json:"nonResourcePath,omitempty"`
}

// Authorizer allows what any policy allows.
type Authorizer struct{ policies []spec }

// NewFromFile reads policies; a wrong line is named in the error.
func NewFromFile(file string) (*Authorizer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--authorization-policy-file: %w", err)
	}
	z, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("--authorization-policy-file %s: %w", file, err)
	}
	return z, nil
}

// Parse reads policies; empty lines and lines that begin with # are skipped.
func Parse(data []byte) (*Authorizer, error) {
	z := &Authorizer{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		var p policy
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&p); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if p.Kind != policyKind || p.APIVersion != policyVersion {
			return nil, fmt.Errorf("line %d: kind %q of %q is not %s of %s", n, p.Kind, p.APIVersion, policyKind, policyVersion)
		}
		z.policies = append(z.policies, p.Spec)
	}
	return z, lines.Err()
}

// Authorize implements authorizer.Authorizer.
func (z *Authorizer) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	for i := range z.policies {
		if z.policies[i].allows(a) {
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "No policy matched.", nil
}

// ConditionsAwareAuthorize implements authorizer.Authorizer.
func (z *Authorizer) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(z.Authorize(ctx, a))
}

// EvaluateConditions implements authorizer.Authorizer; policies have no conditions.
func (z *Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor implements authorizer.RuleResolver.
func (z *Authorizer) RulesFor(_ context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	var resources []authorizer.ResourceRuleInfo
	var paths []authorizer.NonResourceRuleInfo
	for i := range z.policies {
		p := &z.policies[i]
		if !p.concerns(u) {
			continue
		}
		verbs := []string{"*"}
		if p.Readonly {
			verbs = []string{"get", "list", "watch"}
		}
		if p.Resource != "" && (p.Namespace == "*" || p.Namespace == namespace) {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{Verbs: verbs, APIGroups: []string{p.APIGroup}, Resources: []string{p.Resource}})
		}
		if p.NonResourcePath != "" {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: verbs, NonResourceURLs: []string{p.NonResourcePath}})
		}
	}
	return resources, paths, false, nil
}

func (p *spec) allows(a authorizer.Attributes) bool {
	if !p.concerns(a.GetUser()) || (p.Readonly && !a.IsReadOnly()) {
		return false
	}
	if a.IsResourceRequest() {
		return matches(p.Namespace, a.GetNamespace()) && matches(p.Resource, a.GetResource()) && matches(p.APIGroup, a.GetAPIGroup())
	}
	if prefix, ok := strings.CutSuffix(p.NonResourcePath, "*"); ok {
		return strings.HasPrefix(a.GetPath(), prefix)
	}
	return p.NonResourcePath != "" && p.NonResourcePath == a.GetPath()
}

// concerns: a policy names a user, a group or both; "*" is every authenticated user.
func (p *spec) concerns(u user.Info) bool {
	if u == nil || (p.User == "" && p.Group == "") {
		return false
	}
	groups := u.GetGroups()
	everybody := func(s string) bool {
		return s == "*" && slices.Contains(groups, user.AllAuthenticated)
	}
	if p.User != "" && p.User != u.GetName() && !everybody(p.User) {
		return false
	}
	return p.Group == "" || slices.Contains(groups, p.Group) || everybody(p.Group)
}

func matches(pattern, value string) bool { return pattern == "*" || pattern == value }
