package defaulting

import (
	corev1 "k8s.io/api/core/v1"
)

// Namespace labels a namespace with its name, for selectors (KEP-2161).
func Namespace(n *corev1.Namespace) {
	if n.Name == "" || n.Labels[nameLabel] == n.Name {
		return
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[nameLabel] = n.Name
}

const nameLabel = corev1.LabelMetadataName
