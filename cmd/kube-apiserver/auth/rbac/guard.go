package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	rbacvalidation "k8s.io/component-helpers/auth/rbac/validation"
)

// Guard keeps users from giving themselves or others more than they hold: a role may only contain rules that its
// writer holds (or the writer holds the verb "escalate"), and only a holder of a role's rules (or of the verb "bind")
// may bind it.
type Guard struct {
	authorizer authorizer.UnconditionalAuthorizer
	resolver   *Resolver
}

// NewGuard returns a guard; authz is the server's whole chain.
func NewGuard(authz authorizer.UnconditionalAuthorizer, r *Resolver) *Guard {
	return &Guard{authorizer: authz, resolver: r}
}

// Check refuses with a Forbidden error what would escalate privileges. old is nil for a creation. Objects that are
// none of the four kinds of RBAC pass.
func (g *Guard) Check(ctx context.Context, obj, old runtime.Object) error {
	if holdsEverything(ctx) {
		return nil
	}
	switch o := obj.(type) {
	case *rbacv1.Role:
		var former []rbacv1.PolicyRule
		if old != nil {
			former = old.(*rbacv1.Role).Rules
		}
		return g.role(ctx, "roles", o, o.Rules, former, old != nil)
	case *rbacv1.ClusterRole:
		return g.clusterRole(ctx, o, old)
	case *rbacv1.RoleBinding:
		if before, ok := old.(*rbacv1.RoleBinding); ok && sameBesides(o, before) {
			return nil
		}
		return g.binding(ctx, "rolebindings", o.Namespace, o.Name, o.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		if before, ok := old.(*rbacv1.ClusterRoleBinding); ok && sameBesides(o, before) {
			return nil
		}
		return g.binding(ctx, "clusterrolebindings", "", o.Name, o.RoleRef)
	}
	return nil
}

func (g *Guard) clusterRole(ctx context.Context, o *rbacv1.ClusterRole, old runtime.Object) error {
	var former []rbacv1.PolicyRule
	aggregates := o.AggregationRule != nil
	if before, ok := old.(*rbacv1.ClusterRole); ok {
		former = before.Rules
		aggregates = aggregates && !equality.Semantic.DeepEqual(o.AggregationRule, before.AggregationRule)
	}
	if err := g.role(ctx, "clusterroles", o, o.Rules, former, old != nil); err != nil {
		return err
	}
	if !aggregates || g.escalates(ctx, "clusterroles", "", o.Name) {
		return nil
	}
	// What an aggregated role will contain is not known yet: only who holds everything may make one.
	everything := []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
		{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
	}
	if err := g.confirm(ctx, "", everything); err != nil {
		return apierrors.NewForbidden(rbacv1.Resource("clusterroles"), o.Name, errors.New("must have cluster-admin privileges to use an aggregationRule"))
	}
	return nil
}

func (g *Guard) role(ctx context.Context, resource string, o metav1.Object, rules, former []rbacv1.PolicyRule, update bool) error {
	if update && equality.Semantic.DeepEqual(rules, former) {
		return nil
	}
	if g.escalates(ctx, resource, o.GetNamespace(), o.GetName()) {
		return nil
	}
	if err := g.confirm(ctx, o.GetNamespace(), rules); err != nil {
		return apierrors.NewForbidden(rbacv1.Resource(resource), o.GetName(), err)
	}
	return nil
}

func (g *Guard) binding(ctx context.Context, resource, namespace, name string, roleRef rbacv1.RoleRef) error {
	if (roleRef.Kind != "Role" && roleRef.Kind != "ClusterRole") || roleRef.Name == "" {
		return nil // it grants nothing, and validation refuses it with all else that is wrong
	}
	if g.binds(ctx, roleRef, namespace) {
		return nil
	}
	rules, err := g.resolver.RoleRules(roleRef, namespace)
	if err != nil {
		return err
	}
	if err := g.confirm(ctx, namespace, rules); err != nil {
		return apierrors.NewForbidden(rbacv1.Resource(resource), name, err)
	}
	return nil
}

// holdsEverything: members of system:masters are not limited.
func holdsEverything(ctx context.Context) bool {
	u, ok := genericapirequest.UserFrom(ctx)
	return ok && slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup)
}

// escalates asks whether the user holds the verb "escalate" on the role.
func (g *Guard) escalates(ctx context.Context, resource, namespace, name string) bool {
	return g.may(ctx, authorizer.AttributesRecord{Verb: "escalate", Resource: resource, Namespace: namespace, Name: name})
}

// binds asks whether the user holds the verb "bind" on the role.
func (g *Guard) binds(ctx context.Context, roleRef rbacv1.RoleRef, namespace string) bool {
	a := authorizer.AttributesRecord{Verb: "bind", Namespace: namespace, Name: roleRef.Name}
	switch roleRef.Kind {
	case "ClusterRole":
		a.Resource = "clusterroles"
	case "Role":
		a.Resource = "roles"
	default:
		return false
	}
	return g.may(ctx, a)
}

func (g *Guard) may(ctx context.Context, a authorizer.AttributesRecord) bool {
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return false
	}
	a.User, a.APIGroup, a.APIVersion, a.ResourceRequest = u, rbacv1.GroupName, "*", true
	decision, _, err := g.authorizer.Authorize(ctx, a)
	return err == nil && decision == authorizer.DecisionAllow
}

// confirm returns an error naming the rules that the user does not hold in namespace.
func (g *Guard) confirm(ctx context.Context, namespace string, rules []rbacv1.PolicyRule) error {
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return errors.New("no user on context")
	}
	held, resolveErr := g.resolver.PolicyRules(ctx, u, namespace)
	ok, missing := rbacvalidation.Covers(held, rules)
	if ok {
		return nil
	}
	lines := make([]string, 0, len(missing))
	for _, m := range compact(missing) {
		lines = append(lines, ruleText(m))
	}
	slices.Sort(lines)
	msg := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s", u.GetName(), u.GetGroups(), strings.Join(slices.Compact(lines), "\n"))
	if resolveErr != nil {
		msg += fmt.Sprintf("; resolution errors: %v", resolveErr)
	}
	return errors.New(msg)
}

// compact joins rules that differ only in their verbs.
func compact(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	at := map[string]int{}
	for _, r := range rules {
		key := fmt.Sprintf("%q %q %q %q", r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs)
		if i, ok := at[key]; ok {
			for _, v := range r.Verbs {
				if !slices.Contains(out[i].Verbs, v) {
					out[i].Verbs = append(out[i].Verbs, v)
				}
			}
			continue
		}
		at[key] = len(out)
		out = append(out, *r.DeepCopy())
	}
	return out
}

func ruleText(r rbacv1.PolicyRule) string {
	var parts []string
	for _, p := range []struct {
		name   string
		values []string
	}{
		{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs},
		{"ResourceNames", r.ResourceNames}, {"Verbs", r.Verbs},
	} {
		if len(p.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", p.name, p.values))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// sameBesides reports whether an update changes nothing but what garbage collection needs: owners and finalizers.
// Those who may only do that must be able to finish the deletion of a binding that they could not make.
func sameBesides[T interface {
	runtime.Object
	metav1.Object
}](obj, old T) bool {
	o := obj.DeepCopyObject().(metav1.Object)
	o.SetOwnerReferences(old.GetOwnerReferences())
	o.SetFinalizers(old.GetFinalizers())
	o.SetManagedFields(old.GetManagedFields())
	o.SetResourceVersion(old.GetResourceVersion())
	return equality.Semantic.DeepEqual(o, metav1.Object(old))
}
