package nftables

import (
	"fmt"
	"net/netip"

	v1 "k8s.io/api/core/v1"
	"sigs.k8s.io/knftables"
)

// Names in the table; dashboards and people know most of them from upstream's table "kube-proxy".
const (
	Table = "kube-proxy"

	mapServiceIPs          = "service-ips"
	mapNodePorts           = "service-nodeports"
	mapNoEndpoints         = "no-endpoint-services"
	mapNoEndpointNodePorts = "no-endpoint-nodeports"
	mapFirewallIPs         = "firewall-ips"
	setClusterIPs          = "cluster-ips"
	setNodePortIPs         = "nodeport-ips"
	setHairpin             = "hairpin-connections"

	chainServices    = "services"
	chainMark        = "mark-for-masquerade"
	chainMasquerade  = "masquerading"
	chainReject      = "reject-chain"
	chainNoEndpoints = "service-endpoints-check"
	chainNoNodePorts = "nodeport-endpoints-check"
	chainFirewall    = "firewall-check"
	chainClusterIPs  = "cluster-ips-check"
)

// Settings are those of KubeProxyConfiguration that shape the table's fixed part.
type Settings struct {
	Family v1.IPFamily
	// NodePortIPs are this node's addresses that node ports answer on.
	NodePortIPs []netip.Addr
	// ServiceCIDRs, when known, let packets to unused cluster IPs end here instead of leaving the node.
	ServiceCIDRs []netip.Prefix
	// MasqueradeBit, 0 to 31, is the bit of the packet mark that asks for the node's address on the way out.
	MasqueradeBit int32
}

// Base starts the table anew in one transaction: whatever an earlier process left is replaced at the instant
// that the new rules come in.
func Base(nft knftables.Interface, s Settings) *knftables.Transaction {
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("rules for kube-proxy")})

	ip, addr := s.ip(), "ipv4_addr"
	if s.Family == v1.IPv6Protocol {
		addr = "ipv6_addr"
	}
	mark := fmt.Sprintf("%#x", 1<<s.MasqueradeBit)
	tuple := addr + " . inet_proto . inet_service"
	tx.Add(&knftables.Map{Name: mapServiceIPs, Type: tuple + " : verdict", Comment: knftables.PtrTo("ClusterIP, ExternalIP and LoadBalancer IP traffic")})
	tx.Add(&knftables.Map{Name: mapNodePorts, Type: "inet_proto . inet_service : verdict", Comment: knftables.PtrTo("NodePort traffic")})
	tx.Add(&knftables.Map{Name: mapNoEndpoints, Type: tuple + " : verdict", Comment: knftables.PtrTo("vmap to drop or reject packets to services with no endpoints")})
	tx.Add(&knftables.Map{Name: mapNoEndpointNodePorts, Type: "inet_proto . inet_service : verdict", Comment: knftables.PtrTo("vmap to drop or reject packets to service nodeports with no endpoints")})
	tx.Add(&knftables.Map{Name: mapFirewallIPs, Type: tuple + " : verdict", Comment: knftables.PtrTo("destinations that are subject to LoadBalancerSourceRanges")})
	tx.Add(&knftables.Set{Name: setClusterIPs, Type: addr, Comment: knftables.PtrTo("Active ClusterIPs")})
	tx.Add(&knftables.Set{Name: setNodePortIPs, Type: addr, Comment: knftables.PtrTo("IPs that accept NodePort traffic")})
	tx.Add(&knftables.Set{Name: setHairpin, Type: addr + " . " + addr, Comment: knftables.PtrTo("local endpoints that may be sent back to themselves")})
	for _, a := range s.NodePortIPs {
		tx.Add(&knftables.Element{Set: setNodePortIPs, Key: []string{a.String()}})
	}

	chain := func(name string, rules ...string) {
		tx.Add(&knftables.Chain{Name: name})
		for _, r := range rules {
			tx.Add(&knftables.Rule{Chain: name, Rule: r})
		}
	}
	destination := ip + " daddr . meta l4proto . th dport"
	onNode := ip + " daddr @" + setNodePortIPs + " meta l4proto . th dport"
	// The kernel limits how many ICMP errors it sends to a host, but not resets: under load a client would wait.
	chain(chainReject, "meta l4proto tcp reject with tcp reset", "reject")
	chain(chainMark, "meta mark set meta mark or "+mark)
	chain(chainMasquerade,
		ip+" saddr . "+ip+" daddr @"+setHairpin+" masquerade fully-random",
		"meta mark and "+mark+" == 0 return",
		"meta mark set meta mark xor "+mark,
		"masquerade fully-random")
	chain(chainServices, destination+" vmap @"+mapServiceIPs, onNode+" vmap @"+mapNodePorts)
	chain(chainNoEndpoints, destination+" vmap @"+mapNoEndpoints)
	chain(chainNoNodePorts, onNode+" vmap @"+mapNoEndpointNodePorts)
	chain(chainFirewall, destination+" vmap @"+mapFirewallIPs)
	chain(chainClusterIPs, s.clusterIPsCheck()...)

	hook := func(name string, kind knftables.BaseChainType, hook knftables.BaseChainHook, priority knftables.BaseChainPriority, rules ...string) {
		tx.Add(&knftables.Chain{Name: name, Type: &kind, Hook: &hook, Priority: &priority})
		for _, r := range rules {
			tx.Add(&knftables.Rule{Chain: name, Rule: r})
		}
	}
	newOnly := "ct state new jump "
	hook("nat-prerouting", knftables.NATType, knftables.PreroutingHook, knftables.DNATPriority, "jump "+chainServices)
	hook("nat-output", knftables.NATType, knftables.OutputHook, "-100", "jump "+chainServices)
	hook("nat-postrouting", knftables.NATType, knftables.PostroutingHook, knftables.SNATPriority, "jump "+chainMasquerade)
	// Before DNAT: the packet still carries the Service's address.
	hook("filter-prerouting", knftables.FilterType, knftables.PreroutingHook, "-110", newOnly+chainFirewall)
	hook("filter-output", knftables.FilterType, knftables.OutputHook, "-110", newOnly+chainNoEndpoints, newOnly+chainNoNodePorts, newOnly+chainFirewall)
	// After DNAT: what still has a Service's address matched no port with endpoints.
	hook("filter-input", knftables.FilterType, knftables.InputHook, "-110", newOnly+chainNoNodePorts, newOnly+chainNoEndpoints)
	hook("filter-forward", knftables.FilterType, knftables.ForwardHook, "-110", newOnly+chainNoEndpoints, newOnly+chainClusterIPs)
	hook("filter-output-post-dnat", knftables.FilterType, knftables.OutputHook, "-90", newOnly+chainClusterIPs)
	return tx
}

func (s Settings) ip() string { return Builder{Family: s.Family}.ip() }

// clusterIPsCheck are the rules for packets to cluster IPs that matched no port.
func (s Settings) clusterIPsCheck() []string {
	rules := []string{s.ip() + " daddr @" + setClusterIPs + " goto " + chainReject + " comment \"Reject traffic to invalid ports of ClusterIPs\""}
	for _, c := range s.ServiceCIDRs {
		rules = append(rules, fmt.Sprintf("%s daddr %s drop comment \"Drop traffic to unallocated ClusterIPs\"", s.ip(), c))
	}
	return rules
}

// ReplaceServiceCIDRs plans the change of a table, begun with other ServiceCIDRs, to those of s.
func ReplaceServiceCIDRs(tx *knftables.Transaction, s Settings) {
	tx.Flush(&knftables.Chain{Name: chainClusterIPs})
	for _, r := range s.clusterIPsCheck() {
		tx.Add(&knftables.Rule{Chain: chainClusterIPs, Rule: r})
	}
}
