// Package rbac declares roles and their bindings.
package rbac
