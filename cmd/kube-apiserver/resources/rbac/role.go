package rbac

import (
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// Roles declares roles.
func Roles() *kind.Kind[*rbacv1.Role] {
	type T = *rbacv1.Role
	return &kind.Kind[T]{
		Group: "rbac.authorization.k8s.io", Resource: "roles", Singular: "role",
		New:            func() T { return &rbacv1.Role{} },
		NewList:        func() runtime.Object { return &rbacv1.RoleList{} },
		CreateOnUpdate: true,
		Configure:      guarded,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Created At", func(r T) string { return r.CreationTimestamp.UTC().Format(time.RFC3339) }),
		},
	}
}
