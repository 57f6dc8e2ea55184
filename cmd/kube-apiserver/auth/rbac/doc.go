// Package rbac decides by Roles and bindings what a user may do (https://kubernetes.io/docs/reference/access-authn-authz/rbac/).
//
// Rules only ever allow. Bindings are looked up by their subjects, so that the cost of a decision does not grow with
// the number of bindings in the cluster. Guard keeps users from granting what they do not hold.
package rbac
