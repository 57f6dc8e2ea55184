package core

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"pilotis.dev/cmd/kube-apiserver/resources/serviceip"
)

// pairClusterIP keeps clusterIP and clusterIPs[0] the same; clients of before dual stack know only the first. A client
// may change or clear one of both, and means both (API reference of core/v1).
func pairClusterIP(s, old *corev1.Service) {
	spec := &s.Spec
	if old == nil {
		if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
			spec.ClusterIPs = []string{spec.ClusterIP}
		}
		return
	}
	oneChanged := spec.ClusterIP != old.Spec.ClusterIP
	manyChanged := !slices.Equal(spec.ClusterIPs, old.Spec.ClusterIPs)
	switch {
	case oneChanged && !manyChanged && spec.ClusterIP == "":
		spec.ClusterIPs = nil
	case oneChanged && !manyChanged:
		spec.ClusterIPs = []string{spec.ClusterIP}
	case !oneChanged && manyChanged && len(spec.ClusterIPs) == 0:
		spec.ClusterIP = ""
	}
}

func needsClusterIP(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		return true
	}
	return false
}

func headless(s *corev1.Service) bool {
	return len(s.Spec.ClusterIPs) == 1 && s.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

func dualStack(p *corev1.IPFamilyPolicy) bool {
	return p != nil && *p != corev1.IPFamilyPolicySingleStack
}

func policy(p corev1.IPFamilyPolicy) *corev1.IPFamilyPolicy { return &p }

// trimFamilies follows a change of ipFamilyPolicy from two families to one: what the client did not touch of the
// second family goes.
func trimFamilies(s, old *corev1.Service) {
	if old == nil || !dualStack(old.Spec.IPFamilyPolicy) || s.Spec.IPFamilyPolicy == nil || dualStack(s.Spec.IPFamilyPolicy) {
		return
	}
	if len(s.Spec.ClusterIPs) > 1 && slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs) {
		s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1]
	}
	if len(s.Spec.IPFamilies) > 1 && slices.Equal(s.Spec.IPFamilies, old.Spec.IPFamilies) {
		s.Spec.IPFamilies = s.Spec.IPFamilies[:1]
	}
}

// setFamilies fills ipFamilies and ipFamilyPolicy from what the client said and what the cluster has (KEP-563).
func setFamilies(s, old *corev1.Service, cluster []corev1.IPFamily) field.ErrorList {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	if unchangedPreference(s, old) {
		return nil
	}
	spec, path := &s.Spec, field.NewPath("spec")
	if errs := familiesOfIPs(spec, path); len(errs) > 0 {
		return errs
	}
	var errs field.ErrorList
	for i, f := range spec.IPFamilies {
		selectorless := headless(s) && len(spec.Selector) == 0
		if !slices.Contains(cluster, f) && !selectorless {
			errs = append(errs, field.Invalid(path.Child("ipFamilies").Index(i), f, "not configured on this cluster"))
		}
	}
	if spec.IPFamilyPolicy == nil {
		switch {
		case len(spec.ClusterIPs) > 1 || len(spec.IPFamilies) > 1:
			errs = append(errs, field.Required(path.Child("ipFamilyPolicy"), "must be PreferDualStack or RequireDualStack when two clusterIPs or ipFamilies are specified"))
		case headless(s) && len(spec.Selector) == 0 && len(spec.IPFamilies) == 0:
			spec.IPFamilyPolicy = policy(corev1.IPFamilyPolicyRequireDualStack)
		default:
			spec.IPFamilyPolicy = policy(corev1.IPFamilyPolicySingleStack)
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return fillFamilies(s, cluster, path)
}

func fillFamilies(s *corev1.Service, cluster []corev1.IPFamily, path *field.Path) field.ErrorList {
	spec := &s.Spec
	selectorless := headless(s) && len(spec.Selector) == 0
	switch *spec.IPFamilyPolicy {
	case corev1.IPFamilyPolicySingleStack:
		if len(spec.ClusterIPs) > 1 {
			return field.ErrorList{field.Invalid(path.Child("ipFamilyPolicy"), *spec.IPFamilyPolicy, "must be RequireDualStack or PreferDualStack when multiple 'clusterIPs' are specified")}
		}
		if len(spec.IPFamilies) > 1 {
			return field.ErrorList{field.Invalid(path.Child("ipFamilyPolicy"), *spec.IPFamilyPolicy, "must be RequireDualStack or PreferDualStack when multiple 'ipFamilies' are specified")}
		}
	case corev1.IPFamilyPolicyRequireDualStack:
		if len(cluster) < 2 && !selectorless {
			return field.ErrorList{field.Invalid(path.Child("ipFamilyPolicy"), *spec.IPFamilyPolicy, "this cluster is not configured for dual-stack services")}
		}
	}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = []corev1.IPFamily{cluster[0]}
	}
	if !dualStack(spec.IPFamilyPolicy) || len(spec.IPFamilies) > 1 {
		return nil
	}
	if len(cluster) > 1 || selectorless {
		spec.IPFamilies = append(spec.IPFamilies, other(spec.IPFamilies[0]))
	}
	return nil
}

// unchangedPreference leaves a service alone that prefers two families, so that a change of the cluster does not
// change it by and by.
func unchangedPreference(s, old *corev1.Service) bool {
	if old == nil || s.Spec.IPFamilyPolicy == nil || old.Spec.IPFamilyPolicy == nil {
		return false
	}
	if *s.Spec.IPFamilyPolicy != corev1.IPFamilyPolicyPreferDualStack || *old.Spec.IPFamilyPolicy != corev1.IPFamilyPolicyPreferDualStack {
		return false
	}
	return s.Spec.Type == old.Spec.Type && slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs) && slices.Equal(s.Spec.IPFamilies, old.Spec.IPFamilies)
}

// familiesOfIPs takes families from the addresses that the client chose, and finds contradictions.
func familiesOfIPs(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range spec.ClusterIPs {
		if ip == corev1.ClusterIPNone || ip == "" {
			continue
		}
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			errs = append(errs, field.Invalid(path.Child("clusterIPs").Index(i), ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
			continue
		}
		family := serviceip.FamilyOf(addr)
		switch {
		case i < len(spec.IPFamilies) && spec.IPFamilies[i] != family:
			errs = append(errs, field.Invalid(path.Child("ipFamilies").Index(i), spec.IPFamilies[i], "expected "+string(family)+" to match clusterIPs["+string(rune('0'+i))+"]="+ip))
		case i == len(spec.IPFamilies):
			spec.IPFamilies = append(spec.IPFamilies, family)
		}
	}
	return errs
}

func other(f corev1.IPFamily) corev1.IPFamily {
	if f == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}
