package node

import (
	rbacv1 "k8s.io/api/rbac/v1"
)

// Rules are what kubelets do, also the content of ClusterRole system:node.
func Rules() []rbacv1.PolicyRule {
	rule := func(group string, resources, verbs []string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	read := []string{"get", "list", "watch"}
	return []rbacv1.PolicyRule{
		// the kubelet's own server delegates authentication and authorization
		rule("authentication.k8s.io", []string{"tokenreviews"}, []string{"create"}),
		rule("authorization.k8s.io", []string{"localsubjectaccessreviews", "subjectaccessreviews"}, []string{"create"}),
		// environment variables of Services
		rule("", []string{"services"}, read),
		// its own node; NodeRestriction and the authorizer confine it to that
		rule("", []string{"nodes"}, []string{"create", "get", "list", "watch"}),
		rule("", []string{"nodes/status"}, []string{"patch", "update"}),
		rule("", []string{"nodes"}, []string{"patch", "update"}),
		rule("", []string{"events"}, []string{"create", "patch", "update"}),
		// pods on it
		rule("", []string{"pods"}, read),
		rule("", []string{"pods"}, []string{"create", "delete"}),
		rule("", []string{"pods/status"}, []string{"patch", "update"}),
		rule("", []string{"pods/eviction"}, []string{"create"}),
		// what these pods use
		rule("", []string{"configmaps", "secrets"}, read),
		rule("", []string{"persistentvolumeclaims", "persistentvolumes"}, []string{"get"}),
		rule("", []string{"persistentvolumeclaims/status"}, []string{"get", "patch", "update"}),
		rule("", []string{"serviceaccounts/token"}, []string{"create"}),
		rule("", []string{"serviceaccounts"}, []string{"get"}),
		rule("storage.k8s.io", []string{"volumeattachments"}, []string{"get"}),
		rule("storage.k8s.io", []string{"csidrivers"}, read),
		rule("storage.k8s.io", []string{"csinodes"}, []string{"create", "delete", "get", "patch", "update"}),
		rule("resource.k8s.io", []string{"resourceclaims"}, []string{"get"}),
		rule("resource.k8s.io", []string{"resourceslices"}, []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}),
		rule("node.k8s.io", []string{"runtimeclasses"}, read),
		// certificates
		rule("certificates.k8s.io", []string{"certificatesigningrequests"}, []string{"create", "get", "list", "watch"}),
		rule("certificates.k8s.io", []string{"clustertrustbundles"}, read),
		rule("certificates.k8s.io", []string{"podcertificaterequests"}, []string{"create", "get", "list", "watch"}),
		// heartbeat
		rule("coordination.k8s.io", []string{"leases"}, []string{"create", "delete", "get", "patch", "update"}),
	}
}
