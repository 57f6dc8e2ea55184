package defaulting

import (
	networkingv1 "k8s.io/api/networking/v1"
)

// IngressClass fills an ingress class.
func IngressClass(c *networkingv1.IngressClass) {
	if c.Spec.Parameters != nil {
		pointer(&c.Spec.Parameters.Scope, networkingv1.IngressClassParametersReferenceScopeCluster)
	}
}
