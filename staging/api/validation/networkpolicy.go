package validation

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func networkPolicyCreate(n *networkingv1.NetworkPolicy) *faults {
	f := metadata(&n.ObjectMeta, namespaced, subdomainName)
	networkPolicySpec(f, &n.Spec, true, nil)
	return f
}

func networkPolicyUpdate(n, old *networkingv1.NetworkPolicy) *faults {
	f := metadataUpdate(&n.ObjectMeta, &old.ObjectMeta)
	networkPolicySpec(f, &n.Spec, !looseNetworkPolicy(&old.Spec), policyCIDRs(&old.Spec))
	return f
}

func looseNetworkPolicy(s *networkingv1.NetworkPolicySpec) bool {
	if loose(&s.PodSelector) {
		return true
	}
	found := false
	eachPeer(s, func(peer *networkingv1.NetworkPolicyPeer) {
		found = found || loose(peer.PodSelector) || loose(peer.NamespaceSelector)
	})
	return found
}

func policyCIDRs(s *networkingv1.NetworkPolicySpec) []string {
	var list []string
	eachPeer(s, func(peer *networkingv1.NetworkPolicyPeer) {
		if peer.IPBlock != nil {
			list = append(append(list, peer.IPBlock.CIDR), peer.IPBlock.Except...)
		}
	})
	return list
}

func eachPeer(s *networkingv1.NetworkPolicySpec, visit func(*networkingv1.NetworkPolicyPeer)) {
	for i := range s.Ingress {
		for j := range s.Ingress[i].From {
			visit(&s.Ingress[i].From[j])
		}
	}
	for i := range s.Egress {
		for j := range s.Egress[i].To {
			visit(&s.Egress[i].To[j])
		}
	}
}

func networkPolicySpec(f *faults, s *networkingv1.NetworkPolicySpec, strict bool, cidrs []string) {
	p := field.NewPath("spec")
	selector(f, &s.PodSelector, strict, p.Child("podSelector"))
	for i := range s.Ingress {
		at := p.Child("ingress").Index(i)
		policyPorts(f, s.Ingress[i].Ports, at)
		for j := range s.Ingress[i].From {
			policyPeer(f, &s.Ingress[i].From[j], strict, cidrs, at.Child("from").Index(j))
		}
	}
	for i := range s.Egress {
		at := p.Child("egress").Index(i)
		policyPorts(f, s.Egress[i].Ports, at)
		for j := range s.Egress[i].To {
			policyPeer(f, &s.Egress[i].To[j], strict, cidrs, at.Child("to").Index(j))
		}
	}
	if len(s.PolicyTypes) > 2 {
		f.invalid(p, "policyTypes", s.PolicyTypes, "may not specify more than two policyTypes")
		return
	}
	for i, t := range s.PolicyTypes {
		oneOf(f, p.Child("policyTypes").Index(i), "", t, networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress)
	}
}

func policyPorts(f *faults, list []networkingv1.NetworkPolicyPort, p *field.Path) {
	for i := range list {
		port := &list[i]
		at := p.Child("ports").Index(i)
		if port.Protocol != nil {
			oneOf(f, at, "protocol", *port.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
		}
		if port.Port == nil {
			if port.EndPort != nil {
				f.required(at, "port", "must be specified when `endPort` is specified")
			}
			continue
		}
		portOrName(f, *port.Port, at, "port")
		if port.EndPort == nil {
			continue
		}
		if port.Port.Type == intstr.String {
			f.invalid(at, "endPort", *port.EndPort, "may not be specified when `port` is non-numeric")
			continue
		}
		if *port.EndPort < port.Port.IntVal {
			f.invalid(at, "endPort", *port.EndPort, "must be greater than or equal to `port`")
		}
		portNumber(f, at, "endPort", *port.EndPort)
	}
}

func policyPeer(f *faults, peer *networkingv1.NetworkPolicyPeer, strict bool, cidrs []string, p *field.Path) {
	selector(f, peer.PodSelector, strict, p.Child("podSelector"))
	selector(f, peer.NamespaceSelector, strict, p.Child("namespaceSelector"))
	selects := peer.PodSelector != nil || peer.NamespaceSelector != nil
	switch {
	case peer.IPBlock != nil && selects:
		f.forbidden(p, "", "may not specify both ipBlock and another peer")
	case peer.IPBlock != nil:
		ipBlock(f, peer.IPBlock, cidrs, p.Child("ipBlock"))
	case !selects:
		f.required(p, "", "must specify a peer")
	}
}

func ipBlock(f *faults, b *networkingv1.IPBlock, cidrs []string, p *field.Path) {
	if !f.present(p, "cidr", b.CIDR) {
		return
	}
	if errs := validation.IsValidCIDRForLegacyField(p.Child("cidr"), b.CIDR, true, cidrs); len(errs) > 0 {
		f.add(errs...)
		return
	}
	whole, err := netip.ParsePrefix(b.CIDR)
	for i, e := range b.Except {
		at := p.Child("except").Index(i)
		if errs := validation.IsValidCIDRForLegacyField(at, e, true, cidrs); len(errs) > 0 {
			f.add(errs...)
			return
		}
		part, exceptErr := netip.ParsePrefix(e)
		if err == nil && exceptErr == nil && (!whole.Contains(part.Addr()) || part.Bits() <= whole.Bits()) {
			f.invalid(at, "", e, "must be a strict subset of `cidr`")
		}
	}
}
