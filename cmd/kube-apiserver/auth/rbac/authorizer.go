package rbac

import (
	"context"
	"fmt"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"
)

// Authorizer allows what the bindings allow and has no opinion of the rest.
type Authorizer struct {
	resolver *Resolver
}

// NewAuthorizer returns the authorizer; it is also the rule resolver of SelfSubjectRulesReviews.
func NewAuthorizer(r *Resolver) *Authorizer { return &Authorizer{resolver: r} }

// Authorize implements authorizer.Authorizer.
func (z *Authorizer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	var (
		resource string
		reason   string
		errs     []error
		found    bool
	)
	if a.IsResourceRequest() {
		resource = combinedResource(a)
	}
	z.resolver.visit(a.GetUser(), a.GetNamespace(), func(g grant, err error) bool {
		if err != nil {
			errs = append(errs, err)
			return true
		}
		if allows(g.rule, a, resource) {
			found = true
			reason = "RBAC: allowed by " + g.binding()
			return false
		}
		return true
	})
	if found {
		return authorizer.DecisionAllow, reason, nil
	}
	klog.FromContext(ctx).V(5).Info("RBAC has no rule for a request", "user", a.GetUser().GetName(), "verb", a.GetVerb(), "resource", resource, "namespace", a.GetNamespace(), "name", a.GetName(), "path", a.GetPath())
	if len(errs) > 0 {
		reason = fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(errs))
	}
	return authorizer.DecisionNoOpinion, reason, nil
}

// ConditionsAwareAuthorize implements authorizer.Authorizer.
func (z *Authorizer) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(z.Authorize(ctx, a))
}

// EvaluateConditions implements authorizer.Authorizer; rules have no conditions.
func (z *Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor implements authorizer.RuleResolver.
func (z *Authorizer) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	rules, err := z.resolver.PolicyRules(ctx, u, namespace)
	var resources []authorizer.ResourceRuleInfo
	var paths []authorizer.NonResourceRuleInfo
	for _, r := range rules {
		if len(r.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
			})
		}
		if len(r.NonResourceURLs) > 0 {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return resources, paths, err != nil, err
}
