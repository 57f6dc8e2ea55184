package defaulting

import rbacv1 "k8s.io/api/rbac/v1"

// RoleBinding fills a role binding.
func RoleBinding(b *rbacv1.RoleBinding) { binding(&b.RoleRef, b.Subjects) }

// ClusterRoleBinding fills a cluster role binding.
func ClusterRoleBinding(b *rbacv1.ClusterRoleBinding) { binding(&b.RoleRef, b.Subjects) }

func binding(ref *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	value(&ref.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		switch subjects[i].Kind {
		case rbacv1.UserKind, rbacv1.GroupKind:
			value(&subjects[i].APIGroup, rbacv1.GroupName)
		}
	}
}
