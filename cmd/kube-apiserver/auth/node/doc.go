// Package node confines the credentials of kubelets: a kubelet may read just the objects that pods on its node refer
// to, and write just what is its own (https://kubernetes.io/docs/reference/access-authn-authz/node/).
//
// Graph answers in constant time whether a node's pods refer to an object; informers keep it. What a kubelet may
// write into its objects is checked by the NodeRestriction admission plugin.
package node
