package main

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

func TestNodePortAddresses(t *testing.T) {
	var host []net.Addr
	for _, a := range []string{"127.0.0.1/8", "10.0.0.1/24", "192.0.2.7/24", "2001:db8::1/64"} {
		p := netip.MustParsePrefix(a)
		host = append(host, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	for _, tt := range []struct {
		configured []string
		want       string
	}{
		{[]string{"primary"}, "[10.0.0.1]"},
		{[]string{"all"}, "[10.0.0.1 192.0.2.7]"},
		{[]string{"primary", "192.0.2.0/24"}, "[10.0.0.1 192.0.2.7]"},
		{[]string{"10.0.0.0/8", "primary", "127.0.0.0/8"}, "[10.0.0.1]"},
		{[]string{"203.0.113.0/24"}, "[]"},
	} {
		got, err := nodePortsOf(tt.configured, netip.MustParseAddr("10.0.0.1"), host)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%v: got %v, %v, want %s", tt.configured, got, err, tt.want)
		}
	}
}

func TestServiceCIDRs(t *testing.T) {
	cidrs := func(c ...string) *networkingv1.ServiceCIDR {
		return &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: c}}
	}
	all := []*networkingv1.ServiceCIDR{cidrs("10.97.0.0/16"), cidrs("10.96.0.0/16", "fd00::/112"), cidrs("10.97.0.0/16")}
	if got := fmt.Sprint(serviceCIDRs(all, v1.IPv4Protocol), serviceCIDRs(all, v1.IPv6Protocol)); got != "[10.96.0.0/16 10.97.0.0/16] [fd00::/112]" {
		t.Errorf("got %s", got)
	}
}
