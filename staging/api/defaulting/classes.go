package defaulting

import (
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
)

// PriorityClass fills a priority class.
func PriorityClass(c *schedulingv1.PriorityClass) {
	pointer(&c.PreemptionPolicy, corev1.PreemptLowerPriority)
}

// RuntimeClass fills a runtime class.
func RuntimeClass(c *nodev1.RuntimeClass) {
	if c.Overhead != nil {
		quantities(c.Overhead.PodFixed)
	}
}
