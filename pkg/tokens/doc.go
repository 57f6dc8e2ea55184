// Package tokens makes the tokens of service accounts: what kube-apiserver issues on request, and what kube-controller-manager
// puts into Secrets of the type kubernetes.io/service-account-token. Both sign with the same key and name it alike, so that the
// API server accepts either.
package tokens
