package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// RoleBindings declares rolebindings.
func RoleBindings() *kind.Kind[*rbacv1.RoleBinding] {
	type T = *rbacv1.RoleBinding
	return &kind.Kind[T]{
		Group: "rbac.authorization.k8s.io", Resource: "rolebindings", Singular: "rolebinding",
		New:            func() T { return &rbacv1.RoleBinding{} },
		NewList:        func() runtime.Object { return &rbacv1.RoleBindingList{} },
		CreateOnUpdate: true,
		Configure:      guarded,
		Columns: bindingColumns(
			func(b T) *rbacv1.RoleRef { return &b.RoleRef },
			func(b T) []rbacv1.Subject { return b.Subjects },
		),
	}
}
