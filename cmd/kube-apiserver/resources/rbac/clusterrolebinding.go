package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ClusterRoleBindings declares clusterrolebindings.
func ClusterRoleBindings() *kind.Kind[*rbacv1.ClusterRoleBinding] {
	type T = *rbacv1.ClusterRoleBinding
	return &kind.Kind[T]{
		Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings", Singular: "clusterrolebinding", ClusterScoped: true,
		New:            func() T { return &rbacv1.ClusterRoleBinding{} },
		NewList:        func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		CreateOnUpdate: true,
		Configure:      guarded,
		Columns: bindingColumns(
			func(b T) *rbacv1.RoleRef { return &b.RoleRef },
			func(b T) []rbacv1.Subject { return b.Subjects },
		),
	}
}
