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
)

// Conntrack is the kernel's connection tracking, by netlink.
type Conntrack struct{}

// Clean deletes the UDP flows to each destination that somebody else than its endpoints answers: they would stay
// there as long as packets come.
func (Conntrack) Clean(family v1.IPFamily, flows Flows) error {
	af := netlink.InetFamily(unix.AF_INET)
	if family == v1.IPv6Protocol {
		af = unix.AF_INET6
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, af, flows); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// MatchConntrackFlow reports whether the flow is one to delete.
func (f Flows) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	to, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	if !ok {
		return false
	}
	endpoints, ok := f[netip.AddrPortFrom(to.Unmap(), flow.Forward.DstPort)]
	if !ok {
		return false
	}
	by, ok := netip.AddrFromSlice(flow.Reverse.SrcIP)
	return ok && !endpoints[netip.AddrPortFrom(by.Unmap(), flow.Reverse.SrcPort)]
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
