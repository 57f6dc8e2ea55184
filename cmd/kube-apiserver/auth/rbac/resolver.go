package rbac

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"
)

// Resolver finds the rules that apply to a user.
type Resolver struct {
	roles               rbaclisters.RoleLister
	clusterRoles        rbaclisters.ClusterRoleLister
	roleBindings        cache.Indexer
	clusterRoleBindings cache.Indexer
}

// NewResolver returns a resolver over informers; they must not have been started yet.
func NewResolver(in rbacinformers.Interface) (*Resolver, error) {
	for _, informer := range []cache.SharedIndexInformer{in.RoleBindings().Informer(), in.ClusterRoleBindings().Informer()} {
		if _, ok := informer.GetIndexer().GetIndexers()[subjectIndex]; ok {
			continue
		}
		if err := informer.AddIndexers(subjectIndexers()); err != nil {
			return nil, fmt.Errorf("indexing bindings by subject: %w", err)
		}
	}
	return &Resolver{
		roles:               in.Roles().Lister(),
		clusterRoles:        in.ClusterRoles().Lister(),
		roleBindings:        in.RoleBindings().Informer().GetIndexer(),
		clusterRoleBindings: in.ClusterRoleBindings().Informer().GetIndexer(),
	}, nil
}

// grant is a rule together with where it comes from.
type grant struct {
	rule    *rbacv1.PolicyRule
	binding func() string // describes the binding; built only for the reason of an allowed request
}

// visit calls f with each rule that applies to u: those of ClusterRoleBindings first, then, when namespace is not
// empty, those of its RoleBindings. A role that cannot be read is reported as an error and the visit goes on, because
// another binding may allow what is asked. f returns false to end the visit.
func (r *Resolver) visit(u user.Info, namespace string, f func(g grant, err error) bool) {
	seen := map[types.UID]bool{}
	each := func(key string) bool {
		objs, err := r.clusterRoleBindings.ByIndex(subjectIndex, key)
		if err != nil {
			return f(grant{}, err)
		}
		for _, obj := range objs {
			b := obj.(*rbacv1.ClusterRoleBinding)
			if b.UID != "" && seen[b.UID] {
				continue
			}
			seen[b.UID] = true
			if !r.rulesOf(b.RoleRef, "", func() string {
				return fmt.Sprintf("ClusterRoleBinding %q of %s %q to %s", b.Name, b.RoleRef.Kind, b.RoleRef.Name, describe(u, "", b.Subjects, key))
			}, f) {
				return false
			}
		}
		return true
	}
	if !each(userKey("", u.GetName())) {
		return
	}
	for _, g := range u.GetGroups() {
		if !each(groupKey("", g)) {
			return
		}
	}
	if namespace == "" {
		return
	}
	each = func(key string) bool {
		objs, err := r.roleBindings.ByIndex(subjectIndex, key)
		if err != nil {
			return f(grant{}, err)
		}
		for _, obj := range objs {
			b := obj.(*rbacv1.RoleBinding)
			if b.UID != "" && seen[b.UID] {
				continue
			}
			seen[b.UID] = true
			if !r.rulesOf(b.RoleRef, namespace, func() string {
				return fmt.Sprintf("RoleBinding %q of %s %q to %s", b.Name+"/"+b.Namespace, b.RoleRef.Kind, b.RoleRef.Name, describe(u, b.Namespace, b.Subjects, key))
			}, f) {
				return false
			}
		}
		return true
	}
	if !each(userKey(namespace, u.GetName())) {
		return
	}
	for _, g := range u.GetGroups() {
		if !each(groupKey(namespace, g)) {
			return
		}
	}
}

func (r *Resolver) rulesOf(roleRef rbacv1.RoleRef, namespace string, binding func() string, f func(grant, error) bool) bool {
	rules, err := r.RoleRules(roleRef, namespace)
	if err != nil {
		return f(grant{}, err)
	}
	for i := range rules {
		if !f(grant{rule: &rules[i], binding: binding}, nil) {
			return false
		}
	}
	return true
}

// RoleRules returns the rules of the role that a binding in namespace refers to.
func (r *Resolver) RoleRules(roleRef rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch roleRef.Kind {
	case "Role":
		role, err := r.roles.Roles(namespace).Get(roleRef.Name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	case "ClusterRole":
		role, err := r.clusterRoles.Get(roleRef.Name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	}
	return nil, fmt.Errorf("unsupported role reference kind: %q", roleRef.Kind)
}

// PolicyRules returns all rules that apply to a user. With an error the list is incomplete.
func (r *Resolver) PolicyRules(_ context.Context, u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	var errs []error
	r.visit(u, namespace, func(g grant, err error) bool {
		if err != nil {
			errs = append(errs, err)
			return true
		}
		rules = append(rules, *g.rule)
		return true
	})
	return rules, utilerrors.NewAggregate(errs)
}
