package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func endpointsCreate(e *corev1.Endpoints) *faults {
	f := metadata(&e.ObjectMeta, namespaced, subdomainName)
	subsets(f, e, nil)
	return f
}

func endpointsUpdate(e, old *corev1.Endpoints) *faults {
	f := metadataUpdate(&e.ObjectMeta, &old.ObjectMeta)
	if !same(e.Subsets, old.Subsets) {
		subsets(f, e, old)
	}
	return f
}

func subsets(f *faults, e, old *corev1.Endpoints) {
	var before []string
	nodes := map[string]string{}
	if old != nil {
		for _, s := range old.Subsets {
			for _, list := range [][]corev1.EndpointAddress{s.Addresses, s.NotReadyAddresses} {
				for _, a := range list {
					before = append(before, a.IP)
					if a.NodeName != nil {
						nodes[a.IP] = *a.NodeName
					}
				}
			}
		}
	}
	for i, s := range e.Subsets {
		p := field.NewPath("subsets").Index(i)
		if len(s.Addresses) == 0 && len(s.NotReadyAddresses) == 0 {
			f.required(p, "", "must specify `addresses` or `notReadyAddresses`")
		}
		for _, l := range []struct {
			name string
			list []corev1.EndpointAddress
		}{{"addresses", s.Addresses}, {"notReadyAddresses", s.NotReadyAddresses}} {
			for j := range l.list {
				endpointAddress(f, &l.list[j], before, nodes, p.Child(l.name).Index(j))
			}
		}
		for j := range s.Ports {
			endpointPort(f, &s.Ports[j], len(s.Ports) > 1, p.Child("ports").Index(j))
		}
	}
}

func endpointAddress(f *faults, a *corev1.EndpointAddress, before []string, nodes map[string]string, p *field.Path) {
	errs := validation.IsValidIPForLegacyField(p.Child("ip"), a.IP, true, before)
	f.add(errs...)
	if a.Hostname != "" {
		f.dnsLabel(p, "hostname", a.Hostname)
	}
	if a.NodeName != nil {
		f.dnsSubdomain(p, "nodeName", *a.NodeName)
		if node, ok := nodes[a.IP]; ok && node != *a.NodeName {
			f.forbidden(p, "nodeName", fmt.Sprintf("Cannot change NodeName for %s to %s", a.IP, *a.NodeName))
		}
	}
	if len(errs) == 0 {
		nonSpecialIP(f, a.IP, p.Child("ip"))
	}
}

func endpointPort(f *faults, port *corev1.EndpointPort, named bool, p *field.Path) {
	if named && port.Name == "" {
		f.required(p, "name", "")
	} else if port.Name != "" {
		f.dnsLabel(p, "name", port.Name)
	}
	portNumber(f, p, "port", port.Port)
	requireOneOf(f, p, "protocol", port.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
	if port.AppProtocol != nil {
		f.messages(p, "appProtocol", *port.AppProtocol, validation.IsQualifiedName(*port.AppProtocol))
	}
}
