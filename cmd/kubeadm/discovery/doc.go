// Package discovery finds out where a cluster is and which authority it has, before the joining node trusts anybody: from
// cluster-info signed with a bootstrap token, whose authority matches a pinned hash, or from a kubeconfig file.
//
// Source: https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join/#discovering-what-cluster-ca-to-trust
package discovery
