package defaulting

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Service fills a service. Addresses, node ports and IP families are given by a server, not here.
func Service(s *corev1.Service) {
	spec := &s.Spec
	value(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		pointer(&spec.SessionAffinityConfig, corev1.SessionAffinityConfig{})
		pointer(&spec.SessionAffinityConfig.ClientIP, corev1.ClientIPConfig{})
		pointer(&spec.SessionAffinityConfig.ClientIP.TimeoutSeconds, corev1.DefaultClientIPServiceAffinitySeconds)
	}
	value(&spec.Type, corev1.ServiceTypeClusterIP)
	for i := range spec.Ports {
		value(&spec.Ports[i].Protocol, corev1.ProtocolTCP)
		targetPort(&spec.Ports[i])
	}
	external := false
	switch spec.Type {
	case corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		external = true
	case corev1.ServiceTypeClusterIP:
		external = len(spec.ExternalIPs) > 0
	}
	if external {
		value(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	switch spec.Type {
	case corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeClusterIP:
		pointer(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if spec.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	pointer(&spec.AllocateLoadBalancerNodePorts, true)
	for i := range s.Status.LoadBalancer.Ingress {
		if in := &s.Status.LoadBalancer.Ingress[i]; in.IP != "" {
			pointer(&in.IPMode, corev1.LoadBalancerIPModeVIP)
		}
	}
}

// Endpoints fills the addresses of a service.
func Endpoints(e *corev1.Endpoints) {
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			value(&e.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
		}
	}
}

// targetPort is where a service sends traffic when it does not say: to the port it listens on.
func targetPort(p *corev1.ServicePort) {
	if p.TargetPort == (intstr.IntOrString{}) || p.TargetPort == intstr.FromString("") {
		p.TargetPort = intstr.FromInt32(p.Port)
	}
}
