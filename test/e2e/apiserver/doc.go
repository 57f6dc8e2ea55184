// Package apiserver tests the built kube-apiserver before a real etcd, both alone in a network namespace of their own: that
// kubectl's commands work for every resource that discovery tells of, that each right gives what it says and nothing else,
// what a kubelet's certificate may do, and the attacks that others of this field fell to.
package apiserver
