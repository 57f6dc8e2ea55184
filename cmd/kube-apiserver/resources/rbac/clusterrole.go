package rbac

import (
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ClusterRoles declares clusterroles.
func ClusterRoles() *kind.Kind[*rbacv1.ClusterRole] {
	type T = *rbacv1.ClusterRole
	return &kind.Kind[T]{
		Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Singular: "clusterrole", ClusterScoped: true,
		New:            func() T { return &rbacv1.ClusterRole{} },
		NewList:        func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		CreateOnUpdate: true,
		Configure:      guarded,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Created At", func(r T) string { return r.CreationTimestamp.UTC().Format(time.RFC3339) }),
		},
	}
}
