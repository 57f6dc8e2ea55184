// Package certs makes, reads and checks the X.509 material a cluster stands on: certificate authorities, the leaf
// certificates they sign, private keys, and the kubeconfig files that carry them.
//
// Everything is a value: a Spec says what a certificate shall be, a Pair is a certificate with its key. Only the functions of
// store.go and kubeconfig.go touch files. The subjects and file names of a kubeadm cluster are not known here; they are
// described in cmd/kubeadm/phases (source: https://kubernetes.io/docs/setup/best-practices/certificates/).
package certs
