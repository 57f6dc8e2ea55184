package clusterroleaggregation

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAggregateTakesEachRuleOnceByName(t *testing.T) {
	part := func(name, resource string) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"to-view": "true"}}, Rules: []rbacv1.PolicyRule{{Resources: []string{resource}}}}
	}
	view := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "view", Labels: map[string]string{"to-view": "true"}}, Rules: []rbacv1.PolicyRule{{Resources: []string{"old"}}},
		AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"to-view": "true"}}}}}
	rules, err := Aggregate(view, []*rbacv1.ClusterRole{part("b", "pods"), view, part("a", "services"), part("c", "pods"), {ObjectMeta: metav1.ObjectMeta{Name: "d"}, Rules: []rbacv1.PolicyRule{{Resources: []string{"secrets"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) != 2 || rules[0].Resources[0] != "services" || rules[1].Resources[0] != "pods" {
		t.Errorf("rules %v, want services and pods", rules)
	}
}
