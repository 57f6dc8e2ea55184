// Package admission holds the admission plugins of kube-apiserver, one file a plugin, and their order.
//
// A plugin changes or refuses a request after it was authorized and before it is stored
// (https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/). Namespace lifecycle, webhooks and
// policies come from k8s.io/apiserver.
package admission
