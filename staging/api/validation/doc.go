// Package validation finds every fault of an object of a built-in kind, with the field, the value and the rule, in the
// words that users of Kubernetes know.
//
// Create, Update, StatusUpdate and Subresource take hub types: k8s.io/api in version v1 (autoscaling: v2; Event:
// core/v1), already defaulted. They are pure functions that need no server. An unknown type has no faults.
//
// On update, what is wrong in the same way in the old object is tolerated where Kubernetes promises so: a rule that
// was tightened after an object was stored must not lock its owner out ("ratcheting").
//
// A feature counts as enabled when it is stable or on by default in v1.37. Fields of disabled features are dropped by
// the server before validation; they are checked here only where they are set.
//
// The rules come from the API reference and the KEPs named beside them. CEL expressions are checked by an Expressions
// value that the caller hands over, so that the package stays light.
package validation
