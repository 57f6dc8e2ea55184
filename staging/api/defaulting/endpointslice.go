package defaulting

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// EndpointSlice fills an endpoint slice.
func EndpointSlice(e *discoveryv1.EndpointSlice) {
	for i := range e.Ports {
		pointer(&e.Ports[i].Name, "")
		pointer(&e.Ports[i].Protocol, corev1.ProtocolTCP)
	}
}
