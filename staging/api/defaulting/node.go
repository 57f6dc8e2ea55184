package defaulting

import (
	corev1 "k8s.io/api/core/v1"
)

// Node fills a node.
func Node(n *corev1.Node) {
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	quantities(n.Status.Capacity)
	quantities(n.Status.Allocatable)
}
