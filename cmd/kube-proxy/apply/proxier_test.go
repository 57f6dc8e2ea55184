package apply

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/kube-proxy/rules/nftables"
)

// tracked is a kernel's memory of flows: who asked where, and who answers.
type tracked struct {
	flows []*netlink.ConntrackFlow
	fails error
}

func (k *tracked) flow(protocol uint8, to, by string) {
	dst, src := netip.MustParseAddrPort(to), netip.MustParseAddrPort(by)
	f := &netlink.ConntrackFlow{}
	f.Forward.Protocol, f.Forward.DstIP, f.Forward.DstPort = protocol, dst.Addr().AsSlice(), dst.Port()
	f.Reverse.SrcIP, f.Reverse.SrcPort = src.Addr().AsSlice(), src.Port()
	k.flows = append(k.flows, f)
}

func (k *tracked) Clean(_ v1.IPFamily, flows Flows) error {
	if k.fails != nil {
		return k.fails
	}
	k.flows = slices.DeleteFunc(k.flows, flows.MatchConntrackFlow)
	return nil
}

func (k *tracked) String() string {
	var left []string
	for _, f := range k.flows {
		left = append(left, fmt.Sprintf("%s:%d", f.Reverse.SrcIP, f.Reverse.SrcPort))
	}
	return strings.Join(left, " ")
}

func newProxier(t *testing.T, conntrack ConntrackCleaner) (*Proxier, *knftables.Fake) {
	t.Helper()
	fake := knftables.NewFake(knftables.IPv4Family, nftables.Table)
	return NewProxier(Config{Family: v1.IPv4Protocol, NFT: fake, Conntrack: conntrack,
		Settings: nftables.Settings{Family: v1.IPv4Protocol, MasqueradeBit: 14, NodePortIPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}), fake
}

func dns(ip string) *v1.Service {
	return &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "dns"}, Spec: v1.ServiceSpec{
		ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []v1.ServicePort{{Protocol: v1.ProtocolUDP, Port: 53, NodePort: 30053}}}}
}

func backends(addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "dns-1", Labels: map[string]string{discoveryv1.LabelServiceName: "dns"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To(""), Protocol: ptr.To(v1.ProtocolUDP), Port: ptr.To[int32](5353)}}}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

func syncs(t *testing.T, p *Proxier) {
	t.Helper()
	if _, err := p.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestFlowsAreForgotten(t *testing.T) {
	const one, two, clusterIP = "10.244.0.1:5353", "10.244.0.2:5353", "10.96.0.10:53"
	tests := []struct {
		name   string
		before []string // endpoints
		change func(p *Proxier)
		want   string // who answers the flows that stay
	}{
		{"nothing changes", []string{"10.244.0.1", "10.244.0.2"}, func(p *Proxier) { p.OnSlice(backends("10.244.0.1", "10.244.0.2")) }, one + " " + two},
		{"one endpoint goes", []string{"10.244.0.1", "10.244.0.2"}, func(p *Proxier) { p.OnSlice(backends("10.244.0.1")) }, one},
		{"one endpoint comes", []string{"10.244.0.1"}, func(p *Proxier) { p.OnSlice(backends("10.244.0.1", "10.244.0.2")) }, one},
		{"the service goes", []string{"10.244.0.1", "10.244.0.2"}, func(p *Proxier) { p.OnServiceDelete(types.NamespacedName{Namespace: "kube-system", Name: "dns"}) }, ""},
		{"another service takes the address over", []string{"10.244.0.1", "10.244.0.2"}, func(p *Proxier) {
			p.OnServiceDelete(types.NamespacedName{Namespace: "kube-system", Name: "dns"})
			other, slice := dns("10.96.0.10"), backends("10.244.0.2")
			other.Name, slice.Labels = "other", map[string]string{discoveryv1.LabelServiceName: "other"}
			p.OnService(other)
			p.OnSlice(slice)
		}, two},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kernel := &tracked{}
			p, _ := newProxier(t, kernel)
			p.OnService(dns("10.96.0.10"))
			p.OnSlice(backends(tt.before...))
			syncs(t, p)
			for _, by := range []string{one, two} {
				kernel.flow(unix.IPPROTO_UDP, clusterIP, by)
			}
			if len(tt.before) == 1 {
				kernel.flows = kernel.flows[:1]
			}
			tt.change(p)
			syncs(t, p)
			if got := kernel.String(); got != tt.want {
				t.Errorf("flows answered by %q stay, want %q", got, tt.want)
			}
		})
	}
}

// TestStartForgetsWhatWentMeanwhile: flows of before the process began, to an endpoint that is gone, to an endpoint that is
// there, past a node port that did not exist yet, and those that are no business of a Service.
func TestStartForgetsWhatWentMeanwhile(t *testing.T) {
	kernel := &tracked{}
	kernel.flow(unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.9:5353")
	kernel.flow(unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.1:5353")
	kernel.flow(unix.IPPROTO_UDP, "10.0.0.1:30053", "10.0.0.1:30053")
	kernel.flow(unix.IPPROTO_UDP, "192.0.2.1:30053", "192.0.2.1:30053")
	kernel.flow(unix.IPPROTO_TCP, "10.96.0.10:53", "10.244.0.8:5353")
	p, _ := newProxier(t, kernel)
	p.OnService(dns("10.96.0.10"))
	p.OnSlice(backends("10.244.0.1"))
	syncs(t, p)
	if got, want := kernel.String(), "10.244.0.1:5353 192.0.2.1:30053 10.244.0.8:5353"; got != want {
		t.Errorf("flows answered by %q stay, want %q", got, want)
	}
}

func TestFlowsAreForgottenLater(t *testing.T) {
	kernel := &tracked{fails: errors.New("dump interrupted")}
	p, _ := newProxier(t, kernel)
	kernel.flow(unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.9:5353")
	p.OnService(dns("10.96.0.10"))
	p.OnSlice(backends("10.244.0.1"))
	if _, err := p.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "dump interrupted") {
		t.Fatalf("error %v", err)
	}
	kernel.flow(unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.1:5353")
	p.OnSlice(backends("10.244.0.2"))
	if _, err := p.Sync(t.Context()); err == nil {
		t.Fatal("the failure is not told again")
	}
	kernel.fails = nil
	syncs(t, p)
	if got := kernel.String(); got != "" {
		t.Errorf("flows answered by %q stay", got)
	}
}

// TestLateForgettingSparesNewEndpoints: an endpoint that came between a failed attempt to forget flows and the next one keeps its own.
func TestLateForgettingSparesNewEndpoints(t *testing.T) {
	kernel := &tracked{}
	p, _ := newProxier(t, kernel)
	p.OnService(dns("10.96.0.10"))
	p.OnSlice(backends("10.244.0.1", "10.244.0.2"))
	syncs(t, p)
	kernel.fails = errors.New("dump interrupted")
	kernel.flow(unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.2:5353")
	p.OnSlice(backends("10.244.0.1"))
	if _, err := p.Sync(t.Context()); err == nil {
		t.Fatal("the failure is not told")
	}
	kernel.fails = nil
	kernel.flow(unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.3:5353")
	p.OnSlice(backends("10.244.0.1", "10.244.0.3"))
	syncs(t, p)
	if got, want := kernel.String(), "10.244.0.3:5353"; got != want {
		t.Errorf("flows answered by %q stay, want %q", got, want)
	}
}

// TestUnusedClusterIPsEndHere: packets into the ranges of Services are dropped, in those that come later too, and not any more in
// those that went.
func TestUnusedClusterIPsEndHere(t *testing.T) {
	p, fake := newProxier(t, &tracked{})
	rule := func(cidr string) bool { return strings.Contains(fake.Dump(), "ip daddr "+cidr+" drop") }
	first, second := netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("10.97.0.0/16")
	p.OnService(dns("10.96.0.10"))
	p.OnServiceCIDRs([]netip.Prefix{first})
	syncs(t, p)
	if !rule("10.96.0.0/16") {
		t.Errorf("no rule:\n%s", fake.Dump())
	}
	p.OnServiceCIDRs([]netip.Prefix{first, second})
	syncs(t, p)
	if !rule("10.96.0.0/16") || !rule("10.97.0.0/16") || !strings.Contains(fake.Dump(), "@cluster-ips goto reject-chain") {
		t.Errorf("not both ranges:\n%s", fake.Dump())
	}
	p.OnServiceCIDRs(nil)
	syncs(t, p)
	if rule("10.96.0.0/16") || rule("10.97.0.0/16") {
		t.Errorf("rules stay:\n%s", fake.Dump())
	}
}

// broken is a kernel that refuses a number of transactions.
type broken struct {
	*knftables.Fake
	refuse int
}

func (b *broken) Run(ctx context.Context, tx *knftables.Transaction) error {
	if b.refuse > 0 {
		b.refuse--
		return errors.New("no buffer space available")
	}
	return b.Fake.Run(ctx, tx)
}

// TestRefusedChangesComeBack: after a transaction that failed the whole table is written anew, with nothing lost.
func TestRefusedChangesComeBack(t *testing.T) {
	p, fake := newProxier(t, &tracked{})
	kernel := &broken{Fake: fake, refuse: 1}
	p.config.NFT = kernel
	p.OnService(dns("10.96.0.10"))
	p.OnSlice(backends("10.244.0.1"))
	if _, err := p.Sync(t.Context()); err == nil {
		t.Fatal("the failure of the first transaction is not told")
	}
	syncs(t, p)
	p.OnSlice(backends("10.244.0.2"))
	kernel.refuse = 2
	for range 2 {
		if _, err := p.Sync(t.Context()); err == nil {
			t.Fatal("a failure is not told")
		}
	}
	syncs(t, p)
	if dump := fake.Dump(); !strings.Contains(dump, "dnat to 10.244.0.2:5353") || strings.Contains(dump, "10.244.0.1:5353") {
		t.Errorf("the table after failures:\n%s", dump)
	}
}
