package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// keepAllocated gives an update back what it left out though it still needs it: the addresses and ports that the
// service has. A client that replaces a service by the manifest it was made of must not change its address.
func keepAllocated(s, old *corev1.Service) {
	if needsClusterIP(old) && needsClusterIP(s) {
		if s.Spec.ClusterIP == "" {
			s.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(s.Spec.ClusterIPs) == 0 && s.Spec.ClusterIP == old.Spec.ClusterIP {
			s.Spec.ClusterIPs = append([]string(nil), old.Spec.ClusterIPs...)
		}
	}
	if needsNodePorts(old) && needsNodePorts(s) {
		type id struct {
			port     int32
			protocol corev1.Protocol
		}
		ports, used := map[id]int32{}, map[int32]bool{}
		for _, p := range old.Spec.Ports {
			ports[id{p.Port, p.Protocol}] = p.NodePort
		}
		for _, p := range s.Spec.Ports {
			used[p.NodePort] = p.NodePort != 0
		}
		for i := range s.Spec.Ports {
			p := &s.Spec.Ports[i]
			if had := ports[id{p.Port, p.Protocol}]; p.NodePort == 0 && had != 0 && !used[had] {
				p.NodePort = had
			}
		}
	}
	if needsHealthPort(old) && needsHealthPort(s) && s.Spec.HealthCheckNodePort == 0 {
		s.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
	if s.Spec.Type == old.Spec.Type && s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil {
		s.Spec.LoadBalancerClass = old.Spec.LoadBalancerClass
	}
}

// dropOfOldType clears what only the former type had, as long as the client left it as it was.
func dropOfOldType(s, old *corev1.Service) {
	if needsClusterIP(old) && !needsClusterIP(s) {
		if sameIPs(s, old) {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil
		}
		if slices.Equal(s.Spec.IPFamilies, old.Spec.IPFamilies) {
			s.Spec.IPFamilies = nil
		}
		if ptr.Equal(s.Spec.IPFamilyPolicy, old.Spec.IPFamilyPolicy) {
			s.Spec.IPFamilyPolicy = nil
		}
	}
	if takesNodePorts(old) && !takesNodePorts(s) && sameNodePorts(s, old) {
		for i := range s.Spec.Ports {
			s.Spec.Ports[i].NodePort = 0
		}
	}
	if needsHealthPort(old) && !needsHealthPort(s) && s.Spec.HealthCheckNodePort == old.Spec.HealthCheckNodePort {
		s.Spec.HealthCheckNodePort = 0
	}
	if old.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		if s.Spec.AllocateLoadBalancerNodePorts != nil && old.Spec.AllocateLoadBalancerNodePorts != nil &&
			*s.Spec.AllocateLoadBalancerNodePorts == *old.Spec.AllocateLoadBalancerNodePorts {
			s.Spec.AllocateLoadBalancerNodePorts = nil
		}
		if s.Spec.LoadBalancerClass != nil && old.Spec.LoadBalancerClass != nil && *s.Spec.LoadBalancerClass == *old.Spec.LoadBalancerClass {
			s.Spec.LoadBalancerClass = nil
		}
	}
	if external(old) && !external(s) && s.Spec.ExternalTrafficPolicy == old.Spec.ExternalTrafficPolicy {
		s.Spec.ExternalTrafficPolicy = ""
	}
}

// external: traffic may come from outside the cluster.
func external(s *corev1.Service) bool {
	return takesNodePorts(s) || (s.Spec.Type == corev1.ServiceTypeClusterIP && len(s.Spec.ExternalIPs) > 0)
}

func sameIPs(s, old *corev1.Service) bool {
	return s.Spec.ClusterIP == old.Spec.ClusterIP && slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs)
}

func sameNodePorts(s, old *corev1.Service) bool {
	had := map[int32]bool{}
	for _, p := range old.Spec.Ports {
		had[p.NodePort] = true
	}
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 && !had[p.NodePort] {
			return false
		}
	}
	return true
}
