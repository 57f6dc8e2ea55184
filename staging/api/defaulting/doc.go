// Package defaulting fills what a user left open in an object of a built-in kind, as the API reference of Kubernetes
// documents it field by field ("defaults to …").
//
// Defaulting is a pure function of the object, except for the time at which a device was tainted. It needs no server:
// a linter sees the same object that a server would store. Besides defaults it settles the few fields that exist
// twice, so that both spellings always agree: a pod's serviceAccount and serviceAccountName, a secret's stringData and
// data.
package defaulting
