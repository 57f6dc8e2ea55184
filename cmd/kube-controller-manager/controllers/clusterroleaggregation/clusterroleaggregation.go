// Package clusterroleaggregation fills ClusterRoles that gather the rules of others by label.
package clusterroleaggregation

import (
	"context"
	"slices"
	"sort"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

// New returns the controller; a change of any ClusterRole may bear on every aggregating one.
func New(roles rbacinformers.ClusterRoleInformer, client kubernetes.Interface) *reconcile.Controller {
	c := reconcile.New("ClusterRoleAggregator", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		role, err := roles.Lister().Get(key.Name)
		if apierrors.IsNotFound(err) || (err == nil && role.AggregationRule == nil) {
			return reconcile.Result{}, nil
		}
		if err != nil {
			return reconcile.Result{}, err
		}
		all, err := roles.Lister().List(labels.Everything())
		if err != nil {
			return reconcile.Result{}, err
		}
		rules, err := Aggregate(role, all)
		if err != nil || equality.Semantic.DeepEqual(rules, role.Rules) {
			return reconcile.Result{}, err
		}
		update := role.DeepCopy()
		update.Rules = rules
		_, err = client.RbacV1().ClusterRoles().Update(ctx, update, metav1.UpdateOptions{})
		return reconcile.Result{}, err
	}), reconcile.Options{Workers: 2})
	c.Watch(roles.Informer(), func(any) []reconcile.Key {
		all, err := roles.Lister().List(labels.Everything())
		if err != nil {
			return nil
		}
		var keys []reconcile.Key
		for _, r := range all {
			if r.AggregationRule != nil {
				keys = append(keys, reconcile.Key{Name: r.Name})
			}
		}
		return keys
	})
	return c
}

// Aggregate gives the rules of the roles that role selects, each rule once, by the roles' names.
func Aggregate(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	sorted := slices.Clone(all)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	var rules []rbacv1.PolicyRule
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, err
		}
		for _, r := range sorted {
			if r.Name == role.Name || !selector.Matches(labels.Set(r.Labels)) {
				continue
			}
			for _, rule := range r.Rules {
				if !slices.ContainsFunc(rules, func(have rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(have, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}
