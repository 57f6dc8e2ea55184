package nftables

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/kube-proxy/desired"
)

// anyService is the i-th Service with whatever settings r gives it. Its addresses are its own, its endpoints may be others' too.
func anyService(r *rand.Rand, i int) []desired.ServicePort {
	var ports []desired.ServicePort
	for n := range 1 + r.IntN(2) {
		p := desired.ServicePort{Service: types.NamespacedName{Namespace: "shop", Name: fmt.Sprintf("web-%d", i)}, PortName: fmt.Sprintf("p%d", n),
			Protocol: []v1.Protocol{v1.ProtocolTCP, v1.ProtocolUDP, v1.ProtocolSCTP}[r.IntN(3)], Port: uint16(80 + n),
			ClusterIP: netip.AddrFrom4([4]byte{10, 96, 0, byte(i)}), InternalLocal: r.IntN(4) == 0, ExternalLocal: r.IntN(3) == 0}
		if r.IntN(2) == 0 {
			p.NodePort = uint16(30000 + 2*i + n)
		}
		if r.IntN(3) == 0 {
			p.AffinitySeconds = int32(1 + r.IntN(3))
		}
		if r.IntN(3) == 0 {
			p.LoadBalancerIPs = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}
			if r.IntN(2) == 0 {
				p.SourceRanges = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
			}
		}
		for host := range 5 {
			if r.IntN(2) == 0 {
				p.Cluster = append(p.Cluster, desired.Endpoint{Local: host < 2, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, 0, byte(host)}), 8080)})
			}
			if host < 2 && r.IntN(2) == 0 {
				p.Local = append(p.Local, desired.Endpoint{Local: true, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, 0, byte(host)}), 8080)})
			}
		}
		p.AnyEndpoint = len(p.Cluster)+len(p.Local) > 0
		ports = append(ports, p)
	}
	return ports
}

func lines(dump string) map[string]bool {
	set := map[string]bool{}
	for l := range strings.Lines(dump) {
		set[l] = true
	}
	return set
}

// TestChangesAddUp: after any history of changes the table is what a fresh start would write, and each transaction applies.
func TestChangesAddUp(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		settings := Settings{Family: v1.IPv4Protocol, MasqueradeBit: 14}
		table := knftables.NewFake(knftables.IPv4Family, Table)
		if err := table.Run(t.Context(), Base(table, settings)); err != nil {
			t.Fatal(err)
		}
		state, all := NewState(builder()), changes{}
		for step := range 40 {
			change := changes{}
			for range 1 + r.IntN(3) {
				i := r.IntN(6)
				key := types.NamespacedName{Namespace: "shop", Name: fmt.Sprintf("web-%d", i)}
				change[key] = nil
				if r.IntN(4) > 0 {
					change[key] = anyService(r, i)
				}
				all[key] = change[key]
			}
			tx := table.NewTransaction()
			state.Apply(tx, change)
			if err := table.Run(t.Context(), tx); err != nil {
				t.Fatalf("seed %d, step %d: %v\n%s", seed, step, err, tx)
			}
		}
		fresh := knftables.NewFake(knftables.IPv4Family, Table)
		tx := Base(fresh, settings)
		NewState(builder()).Apply(tx, all)
		if err := fresh.Run(t.Context(), tx); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got, want := lines(table.Dump()), lines(fresh.Dump())
		for l := range got {
			if !want[l] {
				t.Errorf("seed %d: too much after the changes: %s", seed, l)
			}
		}
		for l := range want {
			if !got[l] {
				t.Errorf("seed %d: missing after the changes: %s", seed, l)
			}
		}
	}
}
