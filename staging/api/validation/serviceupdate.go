package validation

import (
	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const once = "may not change once set"

func serviceUpdate(s, old *corev1.Service) *faults {
	f := metadataUpdate(&s.ObjectMeta, &old.ObjectMeta)
	spec := field.NewPath("spec")
	if s.Spec.Type != corev1.ServiceTypeExternalName && old.Spec.Type != corev1.ServiceTypeExternalName {
		clusterIPsUpdate(f, s, old, spec)
	}
	serviceSpec(f, s, old)
	if port := old.Spec.HealthCheckNodePort; port != 0 && s.Spec.HealthCheckNodePort != port && needsHealthCheckPort(&old.Spec) && needsHealthCheckPort(&s.Spec) {
		f.invalid(spec, "healthCheckNodePort", s.Spec.HealthCheckNodePort, "cannot change healthCheckNodePort on loadBalancer service with externalTraffic=Local during update")
	}
	if now, before := s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass; !same(now, before) {
		isBalancer, wasBalancer := s.Spec.Type == corev1.ServiceTypeLoadBalancer, old.Spec.Type == corev1.ServiceTypeLoadBalancer
		if isBalancer && wasBalancer {
			f.invalid(spec, "loadBalancerClass", now, once)
		}
	}
	return f
}

// clusterIPsUpdate keeps the primary address and family; a secondary may come and go with ipFamilyPolicy.
func clusterIPsUpdate(f *faults, s, old *corev1.Service, p *field.Path) {
	now, before := s.Spec.ClusterIPs, old.Spec.ClusterIPs
	if len(before) > 0 && before[0] != "" && len(now) > 0 && now[0] != before[0] {
		f.invalid(p.Child("clusterIPs").Index(0), "", now, once)
	}
	if len(before) > 0 && before[0] != "" && len(now) == 0 {
		f.invalid(p.Child("clusterIPs").Index(0), "", now, "primary clusterIP can not be unset")
	}
	if len(before) > 1 && len(now) > 1 && now[1] != before[1] {
		f.invalid(p.Child("clusterIPs").Index(1), "", now, once)
	}
	if len(before) > 1 && len(now) == 1 && !singleStack(s) {
		f.required(p, "clusterIPs", "must specify both primary and secondary clusterIPs or set ipFamilyPolicy to SingleStack")
	}
	was, is := old.Spec.IPFamilies, s.Spec.IPFamilies
	if len(was) > 0 && len(is) > 0 && was[0] != is[0] {
		f.invalid(p.Child("ipFamilies").Index(0), "", is, once)
	}
	if len(was) > 1 && len(is) > 1 && was[1] != is[1] {
		f.invalid(p.Child("ipFamilies").Index(1), "", is, once)
	}
}

func singleStack(s *corev1.Service) bool {
	return s.Spec.IPFamilyPolicy != nil && *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
}

func serviceStatus(s, old *corev1.Service) *faults {
	f := metadataUpdate(&s.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status", "loadBalancer")
	if len(s.Status.LoadBalancer.Ingress) > 0 && s.Spec.Type != corev1.ServiceTypeLoadBalancer && len(old.Status.LoadBalancer.Ingress) == 0 {
		f.forbidden(p, "ingress", "may only be used when `spec.type` is \"LoadBalancer\"")
	}
	var before []string
	for _, in := range old.Status.LoadBalancer.Ingress {
		before = append(before, in.IP)
	}
	for i, in := range s.Status.LoadBalancer.Ingress {
		at := p.Child("ingress").Index(i)
		if in.IP != "" {
			f.add(validation.IsValidIPForLegacyField(at.Child("ip"), in.IP, true, before)...)
		}
		switch {
		case in.IPMode == nil && in.IP != "" && s.Spec.Type == corev1.ServiceTypeLoadBalancer:
			f.required(at, "ipMode", "must be specified when `ip` is set")
		case in.IPMode != nil && in.IP == "":
			f.forbidden(at, "ipMode", "may not be specified when `ip` is not set")
		case in.IPMode != nil:
			oneOf(f, at, "ipMode", *in.IPMode, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)
		}
		if in.Hostname != "" {
			f.messages(at, "hostname", in.Hostname, validation.IsDNS1123Subdomain(in.Hostname))
			if family(in.Hostname) != corev1.IPFamilyUnknown {
				f.invalid(at, "hostname", in.Hostname, "must be a DNS name, not an IP address")
			}
		}
		portStatuses(f, in.Ports, at.Child("ports"))
	}
	f.add(metav1validation.ValidateConditions(s.Status.Conditions, field.NewPath("status", "conditions"))...)
	return f
}

const maxPortError = 316

func portStatuses(f *faults, list []corev1.PortStatus, p *field.Path) {
	for i := range list {
		portStatus(f, &list[i], p.Index(i))
	}
}

func portStatus(f *faults, port *corev1.PortStatus, p *field.Path) {
	portNumber(f, p, "port", port.Port)
	requireOneOf(f, p, "protocol", port.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
	if port.Error == nil {
		return
	}
	f.messages(p, "error", *port.Error, validation.IsQualifiedName(*port.Error))
	if len(*port.Error) > maxPortError {
		f.tooLong(p, "error", maxPortError)
	}
}
