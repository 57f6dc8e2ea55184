package nftables

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/kube-proxy/desired"
)

func endpoint(address string, local bool) desired.Endpoint {
	return desired.Endpoint{Address: netip.MustParseAddrPort(address), Local: local}
}

func web(endpoints ...desired.Endpoint) desired.ServicePort {
	p := desired.ServicePort{
		Service: types.NamespacedName{Namespace: "shop", Name: "web"}, PortName: "http", Protocol: v1.ProtocolTCP, Port: 80,
		ClusterIP: netip.MustParseAddr("10.96.0.7"), Cluster: endpoints, AnyEndpoint: len(endpoints) > 0,
	}
	for _, e := range endpoints {
		if e.Local {
			p.Local = append(p.Local, e)
		}
	}
	return p
}

func builder() Builder {
	return Builder{Family: v1.IPv4Protocol, ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}}
}

func TestBuild(t *testing.T) {
	near, far := endpoint("10.244.0.2:8080", true), endpoint("10.244.1.2:8080", false)
	with := func(p desired.ServicePort, change func(*desired.ServicePort)) desired.ServicePort {
		change(&p)
		return p
	}
	tests := []struct {
		name      string
		port      desired.ServicePort
		want      []string
		wantNever []string
	}{
		{"two endpoints share the packets", web(near, far),
			[]string{"numgen random mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.1.2 . 8080 }", "saddr != { 10.244.0.0/16 } jump mark-for-masquerade", "hairpin 10.244.0.2"},
			[]string{"hairpin 10.244.1.2", "no-endpoint"}},
		{"no endpoint at all: refused", web(), []string{"no-endpoint-services { 10.96.0.7 . tcp . 80 : goto reject-chain }"}, []string{"dnat"}},
		{"internal policy Local without a local endpoint: dropped", with(web(far), func(p *desired.ServicePort) { p.InternalLocal = true }),
			[]string{"no-endpoint-services { 10.96.0.7 . tcp . 80 : drop }"}, []string{"dnat"}},
		{"a node port masquerades", with(web(far), func(p *desired.ServicePort) { p.NodePort = 30080 }),
			[]string{"service-nodeports { tcp . 30080 : goto external-", "jump mark-for-masquerade\n  goto service-"}, nil},
		{"external policy Local keeps the client's address", with(web(near, far), func(p *desired.ServicePort) { p.NodePort, p.ExternalLocal = 30080, true }),
			[]string{"fib saddr type local", "dnat to 10.244.0.2:8080"}, []string{"\n  jump mark-for-masquerade"}},
		{"external policy Local without local endpoints: outside traffic is dropped", with(web(far), func(p *desired.ServicePort) { p.NodePort, p.ExternalLocal = 30080, true }),
			[]string{"\n  drop\n"}, nil},
		{"session affinity notes and honours the client", with(web(near, far), func(p *desired.ServicePort) { p.AffinitySeconds = 600 }),
			[]string{"timeout 600s", "{ ip saddr }", "ip saddr @affinity-", "vmap { 0 : goto endpoint-"}, nil},
		{"source ranges guard the load balancer's address", with(web(near), func(p *desired.ServicePort) {
			p.LoadBalancerIPs, p.SourceRanges = []netip.Addr{netip.MustParseAddr("192.0.2.1")}, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		}), []string{"firewall-ips { 192.0.2.1 . tcp . 80 : goto firewall-", "ip saddr != { 203.0.113.0/24 } drop"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := builder().Build([]desired.ServicePort{tt.port}).String()
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q is missing in\n%s", w, got)
				}
			}
			for _, w := range tt.wantNever {
				if strings.Contains(got, w) {
					t.Errorf("%q must not be in\n%s", w, got)
				}
			}
		})
	}
}

type changes = map[types.NamespacedName][]desired.ServicePort

// history is a life of two Services that share an endpoint and an external address.
func history() []changes {
	web1 := web(endpoint("10.244.0.2:8080", true), endpoint("10.244.1.2:8080", false))
	web1.NodePort, web1.ExternalIPs = 30080, []netip.Addr{netip.MustParseAddr("192.0.2.9")}
	other := web(endpoint("10.244.0.2:8080", true))
	other.Service.Name, other.ClusterIP, other.ExternalIPs = "other", netip.MustParseAddr("10.96.0.8"), web1.ExternalIPs
	sticky := web1
	sticky.AffinitySeconds = 30
	none := web()
	none.NodePort = 30080
	return []changes{
		{web1.Service: {web1}},
		{other.Service: {other}},
		{web1.Service: {sticky}},
		{web1.Service: {none}},
		{web1.Service: nil, other.Service: {other}},
		{other.Service: nil},
	}
}

// TestHistoryLeavesNothing plays the history against the fake: every transaction applies, and at its end the table
// holds what its base holds.
func TestHistoryLeavesNothing(t *testing.T) {
	ctx := context.Background()
	fake := knftables.NewFake(knftables.IPv4Family, Table)
	settings := Settings{Family: v1.IPv4Protocol, MasqueradeBit: 14, NodePortIPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	if err := fake.Run(ctx, Base(fake, settings)); err != nil {
		t.Fatal(err)
	}
	empty := fake.Dump()
	state := NewState(builder())
	for i, c := range history() {
		tx := fake.NewTransaction()
		state.Apply(tx, c)
		if err := fake.Run(ctx, tx); err != nil {
			t.Fatalf("step %d: %v\n%s", i, err, tx)
		}
		if i == 1 && strings.Count(fake.Dump(), "192.0.2.9 . tcp . 80") != 1 {
			t.Errorf("an external address belongs to one Service:\n%s", fake.Dump())
		}
	}
	if got := fake.Dump(); got != empty {
		t.Errorf("left over:\n%s", got)
	}
}

// TestAnAddressIsInherited: of two Services with one external address the first has it, also when it changes, and the second
// when the first is gone.
func TestAnAddressIsInherited(t *testing.T) {
	first, second := web(endpoint("10.244.0.2:8080", true)), web(endpoint("10.244.0.3:8080", true))
	second.Service.Name, second.ClusterIP = "other", netip.MustParseAddr("10.96.0.8")
	first.ExternalIPs = []netip.Addr{netip.MustParseAddr("192.0.2.9")}
	second.ExternalIPs = first.ExternalIPs
	changed := first
	changed.AffinitySeconds = 5
	fake := knftables.NewFake(knftables.IPv4Family, Table)
	if err := fake.Run(t.Context(), Base(fake, Settings{Family: v1.IPv4Protocol, MasqueradeBit: 14})); err != nil {
		t.Fatal(err)
	}
	state := NewState(builder())
	for i, step := range []struct {
		change changes
		owner  string
	}{
		{changes{first.Service: {first}}, "shop/web"},
		{changes{second.Service: {second}}, "shop/web"},
		{changes{first.Service: {changed}}, "shop/web"},
		{changes{first.Service: nil}, "shop/other"},
		{changes{first.Service: {first}}, "shop/other"},
	} {
		tx := fake.NewTransaction()
		state.Apply(tx, step.change)
		if err := fake.Run(t.Context(), tx); err != nil {
			t.Fatalf("step %d: %v\n%s", i, err, tx)
		}
		var leads []string
		for l := range strings.Lines(fake.Dump()) {
			if strings.Contains(l, "192.0.2.9 . tcp . 80 :") {
				leads = append(leads, l)
			}
		}
		if len(leads) != 1 || !strings.Contains(leads[0], step.owner+"/tcp/http") {
			t.Errorf("step %d: the address leads to %q, want %s", i, leads, step.owner)
		}
	}
}

// TestKernelTakesTheRules plays the history against the kernel's parser, in a network namespace of its own.
func TestKernelTakesTheRules(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: the kernel's parser is not asked")
		return
	}
	for _, family := range []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol} {
		t.Run(string(family), func(t *testing.T) {
			var script strings.Builder
			nftFamily := knftables.IPv4Family
			if family == v1.IPv6Protocol {
				nftFamily = knftables.IPv6Family
			}
			fake := knftables.NewFake(nftFamily, Table)
			script.WriteString(Base(fake, Settings{Family: family, MasqueradeBit: 14}).String())
			b := builder()
			steps := history()
			if family == v1.IPv6Protocol {
				b = Builder{Family: family, ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00::/48")}}
				steps = inIPv6(steps)
			}
			state := NewState(b)
			for _, c := range steps {
				tx := fake.NewTransaction()
				state.Apply(tx, c)
				script.WriteString(tx.String())
			}
			cmd := exec.Command("unshare", "--net", "nft", "-f", "-")
			cmd.Stdin = strings.NewReader(script.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s\n%s", err, out, script.String())
			}
		})
	}
}

func inIPv6(steps []changes) []changes {
	six := func(a netip.Addr) netip.Addr {
		b := a.As4()
		return netip.AddrFrom16([16]byte{0: 0xfd, 12: b[0], 13: b[1], 14: b[2], 15: b[3]})
	}
	endpoints := func(list []desired.Endpoint) (out []desired.Endpoint) {
		for _, e := range list {
			out = append(out, desired.Endpoint{Address: netip.AddrPortFrom(six(e.Address.Addr()), e.Address.Port()), Local: e.Local})
		}
		return out
	}
	for _, step := range steps {
		for _, ports := range step {
			for i := range ports {
				p := &ports[i]
				p.ClusterIP, p.Cluster, p.Local = six(p.ClusterIP), endpoints(p.Cluster), endpoints(p.Local)
				var external []netip.Addr
				for _, a := range p.ExternalIPs {
					external = append(external, six(a))
				}
				p.ExternalIPs = external
			}
		}
	}
	return steps
}

func TestNamesAreShortAndDistinct(t *testing.T) {
	long := strings.Repeat("x", 300)
	a, b := shorten("service-"+long+"a"), shorten("service-"+long+"b")
	if a == b || len(a) > 127 || len(b) > 127 {
		t.Errorf("names %q and %q", a, b)
	}
}

// TestPodsAreToldByTheirInterface instead of their addresses.
func TestPodsAreToldByTheirInterface(t *testing.T) {
	b := Builder{Family: v1.IPv4Protocol, PodInterface: "veth*"}
	p := desired.ServicePort{ClusterIP: netip.MustParseAddr("10.96.0.10"), Port: 80, Protocol: v1.ProtocolTCP, NodePort: 30080, ExternalLocal: true,
		Cluster: []desired.Endpoint{{Address: netip.MustParseAddrPort("10.244.1.2:8080")}}}
	text := b.Build([]desired.ServicePort{p}).String()
	for _, want := range []string{`ip daddr 10.96.0.10 iifname != "veth*" jump mark-for-masquerade`, `iifname "veth*" goto `} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
