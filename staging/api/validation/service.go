package validation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func serviceCreate(s *corev1.Service) *faults {
	f := metadata(&s.ObjectMeta, namespaced, labelName) // KEP-5311
	serviceSpec(f, s, nil)
	return f
}

func headless(s *corev1.ServiceSpec) bool {
	return s.ClusterIP == corev1.ClusterIPNone || len(s.ClusterIPs) == 1 && s.ClusterIPs[0] == corev1.ClusterIPNone
}

func externallyAccessible(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort || s.Type == corev1.ServiceTypeClusterIP && len(s.ExternalIPs) > 0
}

func needsHealthCheckPort(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func serviceSpec(f *faults, service, old *corev1.Service) {
	s := &service.Spec
	p := field.NewPath("spec")
	if len(s.Ports) == 0 && !headless(s) && s.Type != corev1.ServiceTypeExternalName {
		f.required(p, "ports", "")
	}
	if s.Selector != nil {
		f.add(metav1validation.ValidateLabels(s.Selector, p.Child("selector"))...)
	}
	requireOneOf(f, p, "type", s.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
	if s.Type == corev1.ServiceTypeExternalName {
		externalName(f, s, p)
	}
	sessionAffinity(f, s, p)
	servicePorts(f, s, p.Child("ports"))
	clusterIPs(f, s, old, p)
	var oldIPs, oldRanges []string
	if old != nil {
		oldIPs, oldRanges = old.Spec.ExternalIPs, old.Spec.LoadBalancerSourceRanges
	}
	for i, ip := range s.ExternalIPs {
		at := p.Child("externalIPs").Index(i)
		if errs := validation.IsValidIPForLegacyField(at, ip, true, oldIPs); len(errs) > 0 {
			f.add(errs...)
		} else {
			nonSpecialIP(f, ip, at)
		}
	}
	loadBalancer(f, s, oldRanges, p)
	trafficPolicies(f, s, p)
	if s.TrafficDistribution != nil {
		oneOf(f, p, "trafficDistribution", *s.TrafficDistribution, corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameNode, corev1.ServiceTrafficDistributionPreferSameZone)
	}
}

func externalName(f *faults, s *corev1.ServiceSpec, p *field.Path) {
	const text = "may not be set for ExternalName services"
	if len(s.ClusterIPs) > 0 {
		f.forbidden(p, "clusterIPs", text)
	}
	if len(s.IPFamilies) > 0 {
		f.forbidden(p, "ipFamilies", text)
	}
	if s.IPFamilyPolicy != nil {
		f.forbidden(p, "ipFamilyPolicy", text)
	}
	if name := strings.TrimSuffix(s.ExternalName, "."); name == "" {
		f.required(p, "externalName", "")
	} else {
		f.messages(p, "externalName", s.ExternalName, validation.IsDNS1123Subdomain(name))
	}
}

const maxAffinitySeconds = 86400

func sessionAffinity(f *faults, s *corev1.ServiceSpec, p *field.Path) {
	requireOneOf(f, p, "sessionAffinity", s.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	config := s.SessionAffinityConfig
	at := p.Child("sessionAffinityConfig")
	switch s.SessionAffinity {
	case corev1.ServiceAffinityNone:
		if config != nil {
			f.forbidden(at, "", "must not be set when session affinity is None")
		}
	case corev1.ServiceAffinityClientIP:
		switch {
		case config == nil:
			f.required(at, "", "when session affinity type is ClientIP")
		case config.ClientIP == nil:
			f.required(at, "clientIP", "when session affinity type is ClientIP")
		case config.ClientIP.TimeoutSeconds == nil:
			f.required(at.Child("clientIP"), "timeoutSeconds", "when session affinity type is ClientIP")
		default:
			if t := *config.ClientIP.TimeoutSeconds; t <= 0 || t > maxAffinitySeconds {
				f.invalid(at.Child("clientIP"), "timeoutSeconds", t, fmt.Sprintf("must be greater than 0 and less than %d", maxAffinitySeconds))
			}
		}
	}
}

func servicePorts(f *faults, s *corev1.ServiceSpec, p *field.Path) {
	type pair struct {
		protocol corev1.Protocol
		port     int32
	}
	var names seen[string]
	var ports, nodePorts seen[pair]
	for i := range s.Ports {
		port := &s.Ports[i]
		at := p.Index(i)
		if port.Name == "" {
			if len(s.Ports) > 1 {
				f.required(at, "name", "")
			}
		} else {
			f.dnsLabel(at, "name", port.Name)
			if names.again(port.Name) {
				f.duplicate(at, "name", port.Name)
			}
		}
		portNumber(f, at, "port", port.Port)
		requireOneOf(f, at, "protocol", port.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
		portOrName(f, port.TargetPort, at, "targetPort")
		if port.AppProtocol != nil {
			f.messages(at, "appProtocol", *port.AppProtocol, validation.IsQualifiedName(*port.AppProtocol))
		}
		if ports.again(pair{port.Protocol, port.Port}) {
			f.duplicate(at, "", corev1.ServicePort{Protocol: port.Protocol, Port: port.Port})
		}
		if port.NodePort == 0 {
			continue
		}
		if s.Type == corev1.ServiceTypeClusterIP {
			f.forbidden(at, "nodePort", "may not be used when `type` is 'ClusterIP'")
		}
		if nodePorts.again(pair{port.Protocol, port.NodePort}) {
			f.duplicate(at, "nodePort", port.NodePort)
		}
	}
}

func family(ip string) corev1.IPFamily {
	a, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		return corev1.IPFamilyUnknown
	case a.Unmap().Is4():
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// clusterIPs checks the addresses and families of a service; what is missing a server gives.
func clusterIPs(f *faults, s *corev1.ServiceSpec, old *corev1.Service, p *field.Path) {
	if s.Type == corev1.ServiceTypeExternalName {
		return
	}
	var before []string
	if old != nil {
		before = old.Spec.ClusterIPs
	}
	at := p.Child("clusterIPs")
	switch {
	case len(s.ClusterIPs) == 0 && s.ClusterIP != "":
		f.required(at, "", "")
	case len(s.ClusterIPs) > 0 && s.ClusterIPs[0] != s.ClusterIP:
		f.invalid(at, "", s.ClusterIPs, "first value must match `clusterIP`")
	}
	if (s.Type == corev1.ServiceTypeNodePort || s.Type == corev1.ServiceTypeLoadBalancer) && slices.Equal(s.ClusterIPs, []string{corev1.ClusterIPNone}) {
		f.invalid(at.Index(0), "", corev1.ClusterIPNone, fmt.Sprintf("may not be set to 'None' for %s services", s.Type))
	}
	for i, family := range s.IPFamilies {
		oneOf(f, p.Child("ipFamilies").Index(i), "", family, corev1.IPv4Protocol, corev1.IPv6Protocol)
		if slices.Contains(s.IPFamilies[:i], family) {
			f.duplicate(p.Child("ipFamilies").Index(i), "", family)
		}
	}
	oneOfPtr(f, p, "ipFamilyPolicy", s.IPFamilyPolicy, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)
	for i, ip := range s.ClusterIPs {
		switch {
		case ip == corev1.ClusterIPNone && i == 0 && len(s.ClusterIPs) > 1:
			f.invalid(at.Index(i), "", ip, "'None' must be the first and only value")
		case ip == corev1.ClusterIPNone && i > 0:
			f.invalid(at.Index(i), "", ip, "must be a valid IP address")
		case ip == corev1.ClusterIPNone, ip == "" && i == 0 && len(s.ClusterIPs) == 1:
		default:
			errs := validation.IsValidIPForLegacyField(at.Index(i), ip, true, before)
			f.add(errs...)
			if len(errs) == 0 && i < len(s.IPFamilies) && family(ip) != s.IPFamilies[i] {
				f.invalid(at.Index(i), "", ip, fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%d]`", s.IPFamilies[i], i))
			}
		}
	}
	switch {
	case len(s.ClusterIPs) > 2:
		f.invalid(at, "", s.ClusterIPs, "may only hold up to 2 values")
	case len(s.ClusterIPs) == 2 && family(s.ClusterIPs[0]) == family(s.ClusterIPs[1]):
		f.invalid(at, "", s.ClusterIPs, "may specify no more than one IP for each IP family")
	}
}

// nonSpecialIP refuses addresses that mean the machine itself or its link.
func nonSpecialIP(f *faults, ip string, p *field.Path) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return
	}
	a = a.Unmap()
	if a.IsUnspecified() {
		f.invalid(p, "", ip, fmt.Sprintf("may not be unspecified (%v)", ip))
	}
	if a.IsLoopback() {
		f.invalid(p, "", ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
	}
	if a.IsLinkLocalUnicast() {
		f.invalid(p, "", ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
	}
	if a.IsLinkLocalMulticast() {
		f.invalid(p, "", ip, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
	}
}

func loadBalancer(f *faults, s *corev1.ServiceSpec, oldRanges []string, p *field.Path) {
	const only = "may only be used when `type` is 'LoadBalancer'"
	if s.Type != corev1.ServiceTypeLoadBalancer {
		if s.AllocateLoadBalancerNodePorts != nil {
			f.forbidden(p, "allocateLoadBalancerNodePorts", only)
		}
		if s.LoadBalancerClass != nil {
			f.forbidden(p, "loadBalancerClass", only)
		}
		if len(s.LoadBalancerSourceRanges) > 0 {
			f.forbidden(p, "LoadBalancerSourceRanges", only)
		}
		return
	}
	if s.AllocateLoadBalancerNodePorts == nil {
		f.required(p, "allocateLoadBalancerNodePorts", "")
	}
	if s.LoadBalancerClass != nil {
		labelKey(f, *s.LoadBalancerClass, p.Child("loadBalancerClass"))
	}
	for i, r := range s.LoadBalancerSourceRanges {
		f.add(validation.IsValidCIDRForLegacyField(p.Child("LoadBalancerSourceRanges").Index(i), strings.TrimSpace(r), true, oldRanges)...)
	}
}

func trafficPolicies(f *faults, s *corev1.ServiceSpec, p *field.Path) {
	if externallyAccessible(s) {
		requireOneOf(f, p, "externalTrafficPolicy", s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	} else if s.ExternalTrafficPolicy != "" {
		f.invalid(p, "externalTrafficPolicy", s.ExternalTrafficPolicy, "may only be set for externally-accessible services")
	}
	if s.HealthCheckNodePort < 0 {
		f.invalid(p, "healthCheckNodePort", s.HealthCheckNodePort, notNegative)
	} else if s.HealthCheckNodePort > 0 && !needsHealthCheckPort(s) {
		f.invalid(p, "healthCheckNodePort", s.HealthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
	}
	switch {
	case s.InternalTrafficPolicy != nil:
		oneOf(f, p, "internalTrafficPolicy", *s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	case s.Type == corev1.ServiceTypeNodePort, s.Type == corev1.ServiceTypeLoadBalancer, s.Type == corev1.ServiceTypeClusterIP:
		f.required(p, "internalTrafficPolicy", "")
	}
}
