package validation

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Sizes of an endpoint slice.
const (
	maxEndpoints         = 1000
	maxEndpointAddresses = 100
	maxEndpointPorts     = 20000
	maxZoneHints         = 8
	maxNodeHints         = 8
)

func endpointSliceCreate(e *discoveryv1.EndpointSlice) *faults {
	f := metadata(&e.ObjectMeta, namespaced, subdomainName)
	requireOneOf(f, nil, "addressType", e.AddressType, discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)
	endpointSlice(f, e, nil)
	return f
}

func endpointSliceUpdate(e, old *discoveryv1.EndpointSlice) *faults {
	f := metadataUpdate(&e.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "addressType", e.AddressType, old.AddressType)
	endpointSlice(f, e, old)
	return f
}

func endpointSlice(f *faults, e, old *discoveryv1.EndpointSlice) {
	p := field.NewPath("endpoints")
	if f.tooMany(p, "", len(e.Endpoints), maxEndpoints) {
		return
	}
	before := map[string]bool{}
	if old != nil {
		for i := range old.Endpoints {
			for _, a := range old.Endpoints[i].Addresses {
				before[a] = true
			}
		}
	}
	for i := range e.Endpoints {
		endpoint(f, &e.Endpoints[i], e.AddressType, before, p.Index(i))
	}
	slicePorts(f, e.Ports)
}

func endpoint(f *faults, e *discoveryv1.Endpoint, kind discoveryv1.AddressType, before map[string]bool, p *field.Path) {
	if len(e.Addresses) == 0 {
		f.required(p, "addresses", "must contain at least 1 address")
	}
	f.tooMany(p, "addresses", len(e.Addresses), maxEndpointAddresses)
	for i, a := range e.Addresses {
		if before[a] {
			continue
		}
		at := p.Child("addresses").Index(i)
		switch kind {
		case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
			if errs := validation.IsValidIP(at, a); len(errs) > 0 {
				f.add(errs...)
				continue
			}
			ip, _ := netip.ParseAddr(a)
			if is4 := ip.Is4(); is4 != (kind == discoveryv1.AddressTypeIPv4) {
				f.invalid(at, "", a, fmt.Sprintf("must be an %s address", kind))
			}
			nonSpecialIP(f, a, at)
		case discoveryv1.AddressTypeFQDN:
			f.add(validation.IsFullyQualifiedDomainName(at, a)...)
		}
	}
	if e.NodeName != nil {
		f.dnsSubdomain(p, "nodeName", *e.NodeName)
	}
	if len(e.DeprecatedTopology) > 0 {
		f.add(metav1validation.ValidateLabels(e.DeprecatedTopology, p.Child("deprecatedTopology"))...)
		if _, ok := e.DeprecatedTopology[corev1.LabelHostname]; ok && e.NodeName == nil {
			f.invalid(p.Child("deprecatedTopology").Key(corev1.LabelHostname), "", "", "may not be set unless nodeName is set")
		}
	}
	if e.Hostname != nil {
		f.dnsLabel(p, "hostname", *e.Hostname)
	}
	if e.Hints != nil {
		endpointHints(f, e.Hints, p.Child("hints"))
	}
}

func endpointHints(f *faults, h *discoveryv1.EndpointHints, p *field.Path) {
	var zones, nodes seen[string]
	f.tooMany(p, "forZones", len(h.ForZones), maxZoneHints)
	for i, z := range h.ForZones {
		at := p.Child("forZones").Index(i)
		if zones.again(z.Name) {
			f.duplicate(at, "name", z.Name)
		}
		f.messages(at, "name", z.Name, validation.IsQualifiedName(z.Name))
	}
	f.tooMany(p, "forNodes", len(h.ForNodes), maxNodeHints)
	for i, n := range h.ForNodes {
		at := p.Child("forNodes").Index(i)
		if nodes.again(n.Name) {
			f.duplicate(at, "name", n.Name)
		}
		f.dnsSubdomain(at, "name", n.Name)
	}
}

func slicePorts(f *faults, list []discoveryv1.EndpointPort) {
	p := field.NewPath("ports")
	if f.tooMany(p, "", len(list), maxEndpointPorts) {
		return
	}
	var names seen[string]
	for i := range list {
		port := &list[i]
		at := p.Index(i)
		name := ""
		if port.Name != nil {
			name = *port.Name
		}
		if name != "" {
			f.dnsLabel(at, "name", name)
		}
		if names.again(name) {
			f.duplicate(at, "name", name)
		}
		if port.Protocol == nil {
			f.required(at, "protocol", "")
		} else {
			oneOf(f, at, "protocol", *port.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
		}
		if port.Port != nil {
			portNumber(f, at, "port", *port.Port)
		}
		if port.AppProtocol != nil {
			f.messages(at, "appProtocol", *port.AppProtocol, validation.IsQualifiedName(*port.AppProtocol))
		}
	}
}
