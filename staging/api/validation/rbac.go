package validation

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func roleCreate(r *rbacv1.Role) *faults {
	f := metadata(&r.ObjectMeta, namespaced, segmentName)
	policyRules(f, r.Rules, true)
	return f
}

func roleUpdate(r, old *rbacv1.Role) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	policyRules(f, r.Rules, true)
	return f
}

func clusterRoleCreate(r *rbacv1.ClusterRole) *faults {
	f := metadata(&r.ObjectMeta, cluster, segmentName)
	clusterRole(f, r, true)
	return f
}

func clusterRoleUpdate(r, old *rbacv1.ClusterRole) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	strict := true
	if old.AggregationRule != nil {
		for i := range old.AggregationRule.ClusterRoleSelectors {
			strict = strict && !loose(&old.AggregationRule.ClusterRoleSelectors[i])
		}
	}
	clusterRole(f, r, strict)
	return f
}

func clusterRole(f *faults, r *rbacv1.ClusterRole, strict bool) {
	policyRules(f, r.Rules, false)
	if r.AggregationRule == nil {
		return
	}
	p := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(r.AggregationRule.ClusterRoleSelectors) == 0 {
		f.required(p, "", "at least one clusterRoleSelector required if aggregationRule is non-nil")
	}
	for i := range r.AggregationRule.ClusterRoleSelectors {
		selector(f, &r.AggregationRule.ClusterRoleSelectors[i], strict, p.Index(i))
	}
}

func policyRules(f *faults, rules []rbacv1.PolicyRule, inNamespace bool) {
	for i := range rules {
		r := &rules[i]
		p := field.NewPath("rules").Index(i)
		if len(r.Verbs) == 0 {
			f.required(p, "verbs", "verbs must contain at least one value")
		}
		if len(r.NonResourceURLs) > 0 {
			if inNamespace {
				f.invalid(p, "nonResourceURLs", r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs")
			}
			if len(r.APIGroups) > 0 || len(r.Resources) > 0 || len(r.ResourceNames) > 0 {
				f.invalid(p, "nonResourceURLs", r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs")
			}
			continue
		}
		if len(r.APIGroups) == 0 {
			f.required(p, "apiGroups", "resource rules must supply at least one api group")
		}
		if len(r.Resources) == 0 {
			f.required(p, "resources", "resource rules must supply at least one resource")
		}
	}
}

func roleBindingCreate(b *rbacv1.RoleBinding) *faults {
	f := metadata(&b.ObjectMeta, namespaced, segmentName)
	roleBinding(f, b)
	return f
}

func roleBindingUpdate(b, old *rbacv1.RoleBinding) *faults {
	f := metadataUpdate(&b.ObjectMeta, &old.ObjectMeta)
	roleBinding(f, b)
	sameRole(f, b.RoleRef, old.RoleRef)
	return f
}

func roleBinding(f *faults, b *rbacv1.RoleBinding) {
	roleRef(f, &b.RoleRef, "ClusterRole", "Role")
	subjects(f, b.Subjects, true)
}

func clusterRoleBindingCreate(b *rbacv1.ClusterRoleBinding) *faults {
	f := metadata(&b.ObjectMeta, cluster, segmentName)
	roleRef(f, &b.RoleRef, "ClusterRole")
	subjects(f, b.Subjects, false)
	return f
}

func clusterRoleBindingUpdate(b, old *rbacv1.ClusterRoleBinding) *faults {
	f := metadataUpdate(&b.ObjectMeta, &old.ObjectMeta)
	roleRef(f, &b.RoleRef, "ClusterRole")
	subjects(f, b.Subjects, false)
	sameRole(f, b.RoleRef, old.RoleRef)
	return f
}

// sameRole: who may bind one role must not, by an update, come to bind another.
func sameRole(f *faults, now, before rbacv1.RoleRef) {
	if now != before {
		f.invalid(nil, "roleRef", now, "cannot change roleRef")
	}
}

func roleRef(f *faults, r *rbacv1.RoleRef, kinds ...string) {
	p := field.NewPath("roleRef")
	if r.APIGroup != rbacv1.GroupName {
		f.add(field.NotSupported(p.Child("apiGroup"), r.APIGroup, []string{rbacv1.GroupName}))
	}
	oneOf(f, p, "kind", r.Kind, kinds...)
	if f.present(p, "name", r.Name) {
		f.messages(p, "name", r.Name, segmentName(r.Name, false))
	}
}

func subjects(f *faults, list []rbacv1.Subject, inNamespace bool) {
	for i := range list {
		s := &list[i]
		p := field.NewPath("subjects").Index(i)
		f.present(p, "name", s.Name)
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			if s.Name != "" {
				f.messages(p, "name", s.Name, subdomainName(s.Name, false))
			}
			if s.APIGroup != "" {
				f.add(field.NotSupported(p.Child("apiGroup"), s.APIGroup, []string{""}))
			}
			if s.Namespace == "" && !inNamespace {
				f.required(p, "namespace", "")
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			if s.APIGroup != rbacv1.GroupName {
				f.add(field.NotSupported(p.Child("apiGroup"), s.APIGroup, []string{rbacv1.GroupName}))
			}
		default:
			f.add(field.NotSupported(p.Child("kind"), s.Kind, []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
		}
	}
}
