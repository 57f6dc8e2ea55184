package node

import (
	"net"
	"slices"

	v1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// setAddresses writes the node's addresses. With an external cloud provider that is the provider's work, beyond the
// address given by --node-ip, which it is told.
func (m *Manager) setAddresses(node *v1.Node) {
	if m.ExternalCloud {
		if len(m.NodeIPs) > 0 {
			node.Annotations[annotationProvidedIP] = joinIPs(m.NodeIPs)
		}
		if len(node.Status.Addresses) > 0 {
			return
		}
	}
	ips := m.NodeIPs
	if len(ips) == 0 || ips[0].IsUnspecified() {
		ips = chooseIPs(system{}, m.Name)
	}
	var out []v1.NodeAddress
	for _, ip := range ips {
		out = append(out, v1.NodeAddress{Type: v1.NodeInternalIP, Address: ip.String()})
	}
	node.Status.Addresses = append(out, v1.NodeAddress{Type: v1.NodeHostName, Address: m.Name})
}

func joinIPs(ips []net.IP) string {
	s := ""
	for i, ip := range ips {
		if i > 0 {
			s += ","
		}
		s += ip.String()
	}
	return s
}

// network is what the choice of an address looks at.
type network interface {
	Lookup(host string) []net.IP
	DefaultRoute() net.IP // of the interface that the default route leaves by; nil: none
	Interfaces() []net.IP // of interfaces that are up, in the kernel's order
}

// chooseIPs finds the node's address: the host's name if it is an address or resolves to one of this host's, else that
// of the default route, else the first that other hosts may reach.
func chooseIPs(n network, name string) []net.IP {
	if ip := net.ParseIP(name); usable(ip) {
		return []net.IP{ip}
	}
	own := n.Interfaces()
	isOwn := func(ip net.IP) bool { return slices.ContainsFunc(own, ip.Equal) }
	var resolved []net.IP
	for _, ip := range n.Lookup(name) {
		if usable(ip) && isOwn(ip) {
			resolved = append(resolved, ip)
		}
	}
	slices.SortStableFunc(resolved, func(a, b net.IP) int { // IPv4 first
		return boolInt(a.To4() == nil) - boolInt(b.To4() == nil)
	})
	if len(resolved) > 0 {
		return resolved[:1]
	}
	if ip := n.DefaultRoute(); usable(ip) {
		return []net.IP{ip}
	}
	for _, ip := range own {
		if usable(ip) {
			return []net.IP{ip}
		}
	}
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// usable reports whether other hosts may reach the address.
func usable(ip net.IP) bool {
	return ip != nil && ip.IsGlobalUnicast() && !ip.IsLoopback()
}

func internalIPs(addresses []v1.NodeAddress) []string {
	var out []string
	for _, a := range addresses {
		if a.Type == v1.NodeInternalIP {
			out = append(out, a.Address)
		}
	}
	return out
}

// system is this host's network.
type system struct{}

func (system) Lookup(host string) []net.IP {
	ips, _ := net.LookupIP(host)
	return ips
}

func (system) DefaultRoute() net.IP {
	ip, err := utilnet.ChooseHostInterface()
	if err != nil {
		return nil
	}
	return ip
}

func (system) Interfaces() []net.IP {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []net.IP
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok {
				out = append(out, n.IP)
			}
		}
	}
	return out
}
