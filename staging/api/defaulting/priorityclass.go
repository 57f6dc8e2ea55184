package defaulting

import (
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
)

// PriorityClass fills a priority class.
func PriorityClass(c *schedulingv1.PriorityClass) {
	pointer(&c.PreemptionPolicy, corev1.PreemptLowerPriority)
}
