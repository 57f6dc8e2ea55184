package policy

import rbacv1 "k8s.io/api/rbac/v1"

// controller is what one loop of kube-controller-manager may do, under the service account of its name in kube-system: with
// --use-service-account-credentials a flaw of one does not give the rights of all.
type controller struct {
	account   string
	namespace string // in which; empty for all
	rules     []rbacv1.PolicyRule
}
