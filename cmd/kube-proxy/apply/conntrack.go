package apply

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeproxyconfig "k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-proxy/desired"
)

// Conntrack is the kernel's connection tracking, by netlink.
type Conntrack struct{}

// Clean deletes the UDP flows to the addresses of ports, of those endpoints that a port lists; a port without
// endpoints loses all of its flows.
func (Conntrack) Clean(family v1.IPFamily, ports []desired.ServicePort) error {
	af := netlink.InetFamily(unix.AF_INET)
	if family == v1.IPv6Protocol {
		af = unix.AF_INET6
	}
	f := newFlowFilter(ports)
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, af, f); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// flowFilter matches the flows to drop in one pass over the table.
type flowFilter struct {
	addresses map[netip.AddrPort]map[netip.AddrPort]bool // destination → answering endpoints; empty: any
	nodePorts map[uint16]map[netip.AddrPort]bool
}

func newFlowFilter(ports []desired.ServicePort) flowFilter {
	f := flowFilter{addresses: map[netip.AddrPort]map[netip.AddrPort]bool{}, nodePorts: map[uint16]map[netip.AddrPort]bool{}}
	for _, p := range ports {
		gone := map[netip.AddrPort]bool{}
		for _, e := range p.Cluster {
			gone[e.Address] = true
		}
		for _, ip := range append([]netip.Addr{p.ClusterIP}, p.Outside()...) {
			f.addresses[netip.AddrPortFrom(ip, p.Port)] = gone
		}
		if p.NodePort != 0 {
			f.nodePorts[p.NodePort] = gone
		}
	}
	return f
}

// MatchConntrackFlow reports whether the flow is one to drop.
func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	dst, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	if !ok {
		return false
	}
	gone, ok := f.addresses[netip.AddrPortFrom(dst.Unmap(), flow.Forward.DstPort)]
	if !ok {
		if gone, ok = f.nodePorts[flow.Forward.DstPort]; !ok {
			return false
		}
	}
	src, ok := netip.AddrFromSlice(flow.Reverse.SrcIP)
	return len(gone) == 0 || (ok && gone[netip.AddrPortFrom(src.Unmap(), flow.Reverse.SrcPort)])
}

// Tune sets the kernel's connection tracking as configured. What this network namespace may not set is told in
// the error; the proxy works without.
func (Conntrack) Tune(c kubeproxyconfig.KubeProxyConntrackConfiguration) error {
	settings := map[string]int{}
	if perCore := int(ptr.Deref(c.MaxPerCore, 0)); perCore > 0 {
		limit := max(perCore*runtime.NumCPU(), int(ptr.Deref(c.Min, 0)))
		if have, err := readSysctl("nf_conntrack_max"); err == nil && have < limit {
			settings["nf_conntrack_max"] = limit
		}
	}
	for name, d := range map[string]float64{
		"nf_conntrack_tcp_timeout_established": seconds(c.TCPEstablishedTimeout),
		"nf_conntrack_tcp_timeout_close_wait":  seconds(c.TCPCloseWaitTimeout),
		"nf_conntrack_udp_timeout":             c.UDPTimeout.Seconds(),
		"nf_conntrack_udp_timeout_stream":      c.UDPStreamTimeout.Seconds(),
	} {
		if d > 0 {
			settings[name] = int(d)
		}
	}
	if c.TCPBeLiberal {
		settings["nf_conntrack_tcp_be_liberal"] = 1
	}
	var errs []error
	for name, value := range settings {
		if have, err := readSysctl(name); err == nil && have == value {
			continue
		}
		if err := os.WriteFile(sysctl(name), []byte(strconv.Itoa(value)), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("net.netfilter.%s = %d: %w", name, value, err))
		}
	}
	return errors.Join(errs...)
}

func seconds(d *metav1.Duration) float64 {
	if d == nil {
		return 0
	}
	return d.Seconds()
}

func sysctl(name string) string { return filepath.Join("/proc/sys/net/netfilter", name) }

func readSysctl(name string) (int, error) {
	data, err := os.ReadFile(sysctl(name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}
