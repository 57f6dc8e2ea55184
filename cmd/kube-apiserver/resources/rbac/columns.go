package rbac

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// bindingColumns are what both kinds of bindings print.
func bindingColumns[T kind.Object](ref func(T) *rbacv1.RoleRef, subjects func(T) []rbacv1.Subject) []kind.Column[T] {
	ofKind := func(name string) func(T) string {
		return func(b T) string {
			var names []string
			for _, s := range subjects(b) {
				switch {
				case s.Kind != name:
				case name == rbacv1.ServiceAccountKind:
					names = append(names, s.Namespace+"/"+s.Name)
				default:
					names = append(names, s.Name)
				}
			}
			return strings.Join(names, ", ")
		}
	}
	return kind.Columns(
		[]kind.Column[T]{
			kind.Name[T](),
			kind.Text("Role", func(b T) string { return ref(b).Kind + "/" + ref(b).Name }),
			kind.Age[T](),
		},
		kind.Wide(
			kind.Text("Users", ofKind(rbacv1.UserKind)),
			kind.Text("Groups", ofKind(rbacv1.GroupKind)),
			kind.Text("ServiceAccounts", ofKind(rbacv1.ServiceAccountKind)),
		),
	)
}
