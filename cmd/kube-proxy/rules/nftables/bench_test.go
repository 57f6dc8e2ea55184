package nftables

import (
	"fmt"
	"net/netip"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/kube-proxy/desired"
)

// cluster is n Services of two endpoints each.
func cluster(n int) changes {
	all := make(changes, n)
	for i := range n {
		name := types.NamespacedName{Namespace: "shop", Name: fmt.Sprintf("web-%d", i)}
		p := desired.ServicePort{Service: name, PortName: "http", Protocol: v1.ProtocolTCP, Port: 80, AnyEndpoint: true,
			ClusterIP: netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)})}
		for node := range 2 {
			p.Cluster = append(p.Cluster, desired.Endpoint{Local: node == 0,
				Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(128 + node), byte(i >> 8), byte(i)}), 8080)})
		}
		p.Local = p.Cluster[:1]
		all[name] = []desired.ServicePort{p}
	}
	return all
}

// BenchmarkColdSync plans the whole table, as kube-proxy's start does.
func BenchmarkColdSync(b *testing.B) {
	for _, services := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			all := cluster(services)
			nft := knftables.NewFake(knftables.IPv4Family, Table)
			b.ReportAllocs()
			for b.Loop() {
				tx := Base(nft, Settings{Family: v1.IPv4Protocol, MasqueradeBit: 14})
				NewState(builder()).Apply(tx, all)
				if tx.NumOperations() < services*4 {
					b.Fatal(tx.NumOperations())
				}
			}
		})
	}
}

// BenchmarkOneEndpointChanges plans what one pod that comes or goes means, among so many Services.
func BenchmarkOneEndpointChanges(b *testing.B) {
	for _, services := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			all := cluster(services)
			nft := knftables.NewFake(knftables.IPv4Family, Table)
			state := NewState(builder())
			state.Apply(nft.NewTransaction(), all)
			key := types.NamespacedName{Namespace: "shop", Name: "web-7"}
			more := all[key][0]
			less := more
			less.Cluster = more.Cluster[:1]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tx := nft.NewTransaction()
				state.Apply(tx, changes{key: {[]desired.ServicePort{less, more}[i%2]}})
				if n := tx.NumOperations(); n == 0 || n > 10 {
					b.Fatalf("%d operations:\n%s", n, tx)
				}
			}
		})
	}
}
