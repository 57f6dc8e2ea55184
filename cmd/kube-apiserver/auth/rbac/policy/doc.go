// Package policy holds the Roles and bindings that a cluster has from its first start, and keeps them complete
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings).
//
// At each start what is missing is added; what an administrator added stays. An object with annotation
// rbac.authorization.kubernetes.io/autoupdate=false is left alone.
package policy
