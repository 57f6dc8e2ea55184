package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// nodeAddresses are the node's own addresses, primary first; without any the bind address stands in.
func nodeAddresses(node *v1.Node, bind string) []netip.Addr {
	var out []netip.Addr
	for _, kind := range []v1.NodeAddressType{v1.NodeInternalIP, v1.NodeExternalIP} {
		for _, a := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == kind {
				out = append(out, ip)
			}
		}
	}
	if ip, err := netip.ParseAddr(bind); len(out) == 0 && err == nil && !ip.IsUnspecified() {
		out = append(out, ip)
	}
	return out
}

func firstOf(addresses []netip.Addr, family v1.IPFamily) (netip.Addr, bool) {
	for _, a := range addresses {
		if a.Is4() == (family == v1.IPv4Protocol) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func ofFamily(prefixes []netip.Prefix, family v1.IPFamily) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is4() == (family == v1.IPv4Protocol) {
			out = append(out, p)
		}
	}
	return out
}

// serviceCIDRs are the ranges of one family, sorted.
func serviceCIDRs(all []*networkingv1.ServiceCIDR, family v1.IPFamily) []netip.Prefix {
	var out []netip.Prefix
	for _, c := range all {
		for _, cidr := range c.Spec.CIDRs {
			if p, err := netip.ParsePrefix(cidr); err == nil {
				out = append(out, p.Masked())
			}
		}
	}
	out = ofFamily(out, family)
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// nodePortAddresses gives the addresses that node ports answer on: the primary one, or those of this host within
// the CIDRs configured, in the primary's family. Loopback never is one.
func nodePortAddresses(configured []string, primary netip.Addr) ([]netip.Addr, error) {
	if len(configured) == 0 {
		return []netip.Addr{primary}, nil
	}
	host, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this host's addresses: %w", err)
	}
	return nodePortsOf(configured, primary, host)
}

func nodePortsOf(configured []string, primary netip.Addr, host []net.Addr) ([]netip.Addr, error) {
	var out []netip.Addr
	add := func(a netip.Addr) {
		if a.Is4() == primary.Is4() && !a.IsLoopback() && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, c := range configured {
		cidrs := []string{c}
		switch c {
		case "primary":
			add(primary)
			continue
		case "all":
			cidrs = []string{"0.0.0.0/0", "::/0"}
		}
		for _, s := range cidrs {
			cidr, err := netip.ParsePrefix(s)
			if err != nil {
				return nil, fmt.Errorf("--nodeport-addresses: %w", err)
			}
			for _, a := range host {
				if p, err := netip.ParsePrefix(a.String()); err == nil && cidr.Contains(p.Addr()) {
					add(p.Addr())
				}
			}
		}
	}
	return out, nil
}
