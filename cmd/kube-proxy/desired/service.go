package desired

import (
	"cmp"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Ports gives the ports of svc in one IP family with their endpoints, in the order of spec.ports. A headless
// Service, an ExternalName and one that names another proxy (label service.kubernetes.io/service-proxy-name)
// have none.
func Ports(svc *v1.Service, endpointSlices []*discoveryv1.EndpointSlice, family v1.IPFamily, node Node) []ServicePort {
	if svc.Spec.Type == v1.ServiceTypeExternalName || svc.Labels["service.kubernetes.io/service-proxy-name"] != "" {
		return nil
	}
	clusterIP, ok := addressOf(svc, family)
	if !ok {
		return nil
	}
	var ports []ServicePort
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		p := ServicePort{
			Service:       types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name},
			PortName:      port.Name,
			Protocol:      cmp.Or(port.Protocol, v1.ProtocolTCP),
			Port:          uint16(port.Port),
			NodePort:      uint16(port.NodePort),
			ClusterIP:     clusterIP,
			ExternalIPs:   inFamily(svc.Spec.ExternalIPs, family),
			InternalLocal: svc.Spec.InternalTrafficPolicy != nil && *svc.Spec.InternalTrafficPolicy == v1.ServiceInternalTrafficPolicyLocal,
			ExternalLocal: svc.Spec.ExternalTrafficPolicy == v1.ServiceExternalTrafficPolicyLocal,
		}
		if svc.Spec.SessionAffinity == v1.ServiceAffinityClientIP {
			p.AffinitySeconds = v1.DefaultClientIPServiceAffinitySeconds
			if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
				p.AffinitySeconds = *c.ClientIP.TimeoutSeconds
			}
		}
		if svc.Spec.Type == v1.ServiceTypeLoadBalancer {
			p.LoadBalancerIPs = loadBalancerIPs(svc, family)
			p.SourceRanges = sourceRanges(svc, family)
		}
		if p.ExternalLocal {
			p.HealthCheckNodePort = uint16(svc.Spec.HealthCheckNodePort)
		}
		choose(&p, endpointSlices, node)
		ports = append(ports, p)
	}
	return ports
}

func addressOf(svc *v1.Service, family v1.IPFamily) (netip.Addr, bool) {
	all := svc.Spec.ClusterIPs
	if len(all) == 0 {
		all = []string{svc.Spec.ClusterIP}
	}
	if found := inFamily(all, family); len(found) > 0 {
		return found[0], true
	}
	return netip.Addr{}, false
}

// inFamily keeps the addresses of one IP family; "None" and what is no address is left out.
func inFamily(addresses []string, family v1.IPFamily) []netip.Addr {
	var out []netip.Addr
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err == nil && ip.Is4() == (family == v1.IPv4Protocol) {
			out = append(out, ip)
		}
	}
	return out
}

func loadBalancerIPs(svc *v1.Service, family v1.IPFamily) []netip.Addr {
	var addresses []string
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		if ptr.Deref(ingress.IPMode, v1.LoadBalancerIPModeVIP) == v1.LoadBalancerIPModeVIP {
			addresses = append(addresses, ingress.IP)
		}
	}
	return inFamily(addresses, family)
}

func sourceRanges(svc *v1.Service, family v1.IPFamily) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range svc.Spec.LoadBalancerSourceRanges {
		if p, err := netip.ParsePrefix(r); err == nil && p.Addr().Is4() == (family == v1.IPv4Protocol) {
			out = append(out, p.Masked())
		}
	}
	return out
}

// candidate is an endpoint with the conditions that bear on its choice.
type candidate struct {
	Endpoint
	ready, serving, terminating bool
	zones, nodes                []string // hints; empty: for everybody
}

// choose fills p's endpoints from the slices of its Service.
func choose(p *ServicePort, all []*discoveryv1.EndpointSlice, node Node) {
	var found []candidate
	for _, s := range all {
		port, ok := slicePort(s, p)
		if !ok {
			continue
		}
		for i := range s.Endpoints {
			found = appendCandidates(found, &s.Endpoints[i], s, port, p, node)
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return a.Address.Compare(b.Address) })
	found = slices.CompactFunc(found, func(a, b candidate) bool { return a.Address == b.Address })

	everywhere := usable(found)
	p.AnyEndpoint = len(everywhere) > 0
	for _, c := range hinted(everywhere, node) {
		p.Cluster = append(p.Cluster, c.Endpoint)
	}
	var local []candidate
	for _, c := range found {
		if c.Local {
			local = append(local, c)
		}
	}
	for _, c := range usable(local) {
		p.Local = append(p.Local, c.Endpoint)
	}
}

func slicePort(s *discoveryv1.EndpointSlice, p *ServicePort) (uint16, bool) {
	for _, port := range s.Ports {
		if ptr.Deref(port.Name, "") == p.PortName && ptr.Deref(port.Protocol, v1.ProtocolTCP) == p.Protocol && port.Port != nil {
			return uint16(*port.Port), true
		}
	}
	return 0, false
}

func appendCandidates(found []candidate, e *discoveryv1.Endpoint, s *discoveryv1.EndpointSlice, port uint16, p *ServicePort, node Node) []candidate {
	if string(s.AddressType) != string(familyOf(p.ClusterIP)) || len(e.Addresses) == 0 {
		return found
	}
	ip, err := netip.ParseAddr(e.Addresses[0])
	if err != nil || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return found // never a way into a node's own loopback (CVE-2021-25737)
	}
	c := candidate{
		Endpoint:    Endpoint{Address: netip.AddrPortFrom(ip, port), Local: e.NodeName != nil && *e.NodeName == node.Name},
		ready:       ptr.Deref(e.Conditions.Ready, true),
		serving:     ptr.Deref(e.Conditions.Serving, ptr.Deref(e.Conditions.Ready, true)),
		terminating: ptr.Deref(e.Conditions.Terminating, false),
	}
	if e.Hints != nil {
		for _, z := range e.Hints.ForZones {
			c.zones = append(c.zones, z.Name)
		}
		for _, n := range e.Hints.ForNodes {
			c.nodes = append(c.nodes, n.Name)
		}
	}
	return append(found, c)
}

func familyOf(ip netip.Addr) v1.IPFamily {
	if ip.Is4() {
		return v1.IPv4Protocol
	}
	return v1.IPv6Protocol
}

// usable keeps the ready endpoints; where there is none, those that still serve while they terminate.
func usable(all []candidate) []candidate {
	var ready, draining []candidate
	for _, c := range all {
		switch {
		case c.ready:
			ready = append(ready, c)
		case c.serving && c.terminating:
			draining = append(draining, c)
		}
	}
	if len(ready) > 0 {
		return ready
	}
	return draining
}

// hinted keeps the endpoints whose hints name this node, or else its zone. Hints count only when every endpoint
// has them and some name this node or zone; otherwise every endpoint serves (EndpointSlice API, KEP-2433, KEP-3015).
func hinted(all []candidate, node Node) []candidate {
	for _, by := range []struct {
		mine  string
		hints func(candidate) []string
	}{
		{node.Name, func(c candidate) []string { return c.nodes }},
		{node.Zone, func(c candidate) []string { return c.zones }},
	} {
		if by.mine == "" {
			continue
		}
		var mine []candidate
		complete := true
		for _, c := range all {
			hints := by.hints(c)
			complete = complete && len(hints) > 0
			if slices.Contains(hints, by.mine) {
				mine = append(mine, c)
			}
		}
		if complete && len(mine) > 0 {
			return mine
		}
	}
	return all
}
