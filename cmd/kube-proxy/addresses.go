package main

import (
	"fmt"
	"net"
	"net/netip"

	v1 "k8s.io/api/core/v1"
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

// nodePortAddresses gives the addresses that node ports answer on: the primary one, or those of this host within
// the CIDRs configured, in the primary's family. Loopback never is one.
func nodePortAddresses(configured []string, primary netip.Addr) ([]netip.Addr, error) {
	if len(configured) == 0 || (len(configured) == 1 && configured[0] == "primary") {
		return []netip.Addr{primary}, nil
	}
	host, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this host's addresses: %w", err)
	}
	var out []netip.Addr
	for _, c := range configured {
		cidr, err := netip.ParsePrefix(c)
		if err != nil {
			return nil, fmt.Errorf("--nodeport-addresses: %w", err)
		}
		for _, a := range host {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && cidr.Contains(p.Addr()) && p.Addr().Is4() == primary.Is4() && !p.Addr().IsLoopback() {
				out = append(out, p.Addr())
			}
		}
	}
	return out, nil
}
