// Package nftables turns Service ports into nftables objects and the difference of two states into one
// transaction. It decides only: package apply hands the transaction to the kernel.
package nftables

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kube-proxy/desired"
)

// Entry is everything in the table that belongs to one Service.
type Entry struct {
	Sets     []AffinitySet
	Chains   []Chain
	Elements []Element
	// Hairpin are the endpoints on this node: a pod may be sent back to itself. Services may share them.
	Hairpin []netip.Addr
}

// Chain is a chain and its rules.
type Chain struct {
	Name  string
	Rules []string
}

// Element is an element of the set or map named; a set's has no value.
type Element struct {
	Container string
	IsMap     bool
	Key       string
	Value     string
}

// AffinitySet remembers which clients an endpoint serves for how long.
type AffinitySet struct {
	Name    string
	Seconds int32
}

// String prints the entry as it will stand in the table.
func (e Entry) String() string {
	var b strings.Builder
	for _, s := range e.Sets {
		fmt.Fprintf(&b, "set %s timeout %ds\n", s.Name, s.Seconds)
	}
	for _, c := range e.Chains {
		fmt.Fprintf(&b, "chain %s\n", c.Name)
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "  %s\n", r)
		}
	}
	for _, el := range e.Elements {
		if el.IsMap {
			fmt.Fprintf(&b, "element %s { %s : %s }\n", el.Container, el.Key, el.Value)
		} else {
			fmt.Fprintf(&b, "element %s { %s }\n", el.Container, el.Key)
		}
	}
	for _, a := range e.Hairpin {
		fmt.Fprintf(&b, "hairpin %s\n", a)
	}
	return b.String()
}

// Builder makes entries for one IP family.
type Builder struct {
	Family       v1.IPFamily
	ClusterCIDRs []netip.Prefix // of pods: packets from elsewhere to a cluster IP are masqueraded
	// PodInterface, in ClusterCIDRs' place, names the interface that pods' packets come in by; with * at its end, its prefix.
	PodInterface string
	// MasqueradeAll masquerades every packet to a cluster IP.
	MasqueradeAll bool
}

func (b Builder) ip() string {
	if b.Family == v1.IPv6Protocol {
		return "ip6"
	}
	return "ip"
}

// fromPods are matches, one of which meets each packet of a pod of this cluster.
func (b Builder) fromPods() []string {
	if b.PodInterface != "" {
		return []string{fmt.Sprintf("iifname %q", b.PodInterface)}
	}
	var matches []string
	for _, c := range b.ClusterCIDRs {
		matches = append(matches, fmt.Sprintf("%s saddr %s", b.ip(), c))
	}
	return matches
}

// Build makes the entry of a Service from its ports.
func (b Builder) Build(ports []desired.ServicePort) Entry {
	var e Entry
	for _, p := range ports {
		b.port(&e, p)
	}
	return e
}

// port adds one Service port: where its packets enter (elements of the maps), and the chains that choose an
// endpoint.
func (b Builder) port(e *Entry, p desired.ServicePort) {
	proto := strings.ToLower(string(p.Protocol))
	key := func(ip netip.Addr) string { return fmt.Sprintf("%s . %s . %d", ip, proto, p.Port) }
	e.Elements = appendOnce(e.Elements, Element{Container: setClusterIPs, Key: p.ClusterIP.String()})

	internal, external := p.Internal(), p.External()
	if len(internal) > 0 {
		chain := chainName("service", p)
		e.Chains = append(e.Chains, Chain{chain, append(b.clusterMasquerade(p), b.choose(e, p, "endpoint", internal)...)})
		e.Elements = append(e.Elements, Element{mapServiceIPs, true, key(p.ClusterIP), "goto " + chain})
	} else {
		e.Elements = append(e.Elements, Element{mapNoEndpoints, true, key(p.ClusterIP), refusal(p.AnyEndpoint)})
	}
	if p.NodePort == 0 && len(p.Outside()) == 0 {
		return
	}
	verdict, container, nodePorts := refusal(p.AnyEndpoint), mapNoEndpoints, mapNoEndpointNodePorts
	if len(external) > 0 || (p.ExternalLocal && len(p.Cluster) > 0) {
		chain := chainName("external", p)
		e.Chains = append(e.Chains, Chain{chain, b.external(e, p, external)})
		verdict, container, nodePorts = "goto "+chain, mapServiceIPs, mapNodePorts
	}
	for _, ip := range p.Outside() {
		e.Elements = append(e.Elements, Element{container, true, key(ip), verdict})
	}
	if p.NodePort != 0 {
		e.Elements = append(e.Elements, Element{nodePorts, true, fmt.Sprintf("%s . %d", proto, p.NodePort), verdict})
	}
	if len(p.SourceRanges) > 0 && len(p.LoadBalancerIPs) > 0 {
		b.firewall(e, p, key)
	}
}

// refusal is what happens to packets of a port without endpoints on this node: a refused connection when the
// Service has none at all, silence when other nodes have some, so that a load balancer tries those.
func refusal(elsewhere bool) string {
	if elsewhere {
		return "drop"
	}
	return "goto " + chainReject
}

// clusterMasquerade gives the node's address to packets to the cluster IP that come from outside the pods:
// their answers must come back through this node.
func (b Builder) clusterMasquerade(p desired.ServicePort) []string {
	to := fmt.Sprintf("%s daddr %s", b.ip(), p.ClusterIP)
	switch {
	case b.MasqueradeAll:
		return []string{to + " jump " + chainMark}
	case b.PodInterface != "":
		return []string{fmt.Sprintf("%s iifname != %q jump %s", to, b.PodInterface, chainMark)}
	case len(b.ClusterCIDRs) > 0:
		var pods []string
		for _, c := range b.ClusterCIDRs {
			pods = append(pods, c.String())
		}
		return []string{fmt.Sprintf("%s %s saddr != { %s } jump %s", to, b.ip(), strings.Join(pods, ", "), chainMark)}
	}
	return nil
}

// external handles packets to node ports and external addresses. With policy Cluster the answers must pass
// this node, hence the masquerade; with Local the client's address is kept, but for traffic from the node's
// own pods and processes, which may use all endpoints.
func (b Builder) external(e *Entry, p desired.ServicePort, endpoints []desired.Endpoint) []string {
	if !p.ExternalLocal {
		service := chainName("service", p)
		if p.InternalLocal { // the service chain knows local endpoints alone
			return append([]string{"jump " + chainMark}, b.choose(e, p, "external-endpoint", endpoints)...)
		}
		return []string{"jump " + chainMark, "goto " + service}
	}
	var rules []string
	if len(p.Cluster) > 0 {
		all := chainName("all", p)
		e.Chains = append(e.Chains, Chain{all, b.choose(e, p, "all-endpoint", p.Cluster)})
		for _, pods := range b.fromPods() {
			rules = append(rules, pods+" goto "+all)
		}
		rules = append(rules, "fib saddr type local jump "+chainMark, "fib saddr type local goto "+all)
	}
	if len(endpoints) == 0 {
		return append(rules, "drop")
	}
	return append(rules, b.choose(e, p, "local-endpoint", endpoints)...)
}

// choose gives the rules that pick one of the endpoints at random. With session affinity each endpoint has a
// chain that notes the client, and a client that is known goes to its endpoint first.
func (b Builder) choose(e *Entry, p desired.ServicePort, kind string, endpoints []desired.Endpoint) []string {
	for _, ep := range endpoints {
		if ep.Local {
			e.Hairpin = appendOnce(e.Hairpin, ep.Address.Addr())
		}
	}
	if p.AffinitySeconds > 0 {
		return b.chooseWithAffinity(e, p, kind, endpoints)
	}
	proto := "meta l4proto " + strings.ToLower(string(p.Protocol))
	if len(endpoints) == 1 {
		return []string{proto + " dnat to " + address(endpoints[0].Address)}
	}
	picks := make([]string, len(endpoints))
	for i, ep := range endpoints {
		picks[i] = fmt.Sprintf("%d : %s . %d", i, ep.Address.Addr(), ep.Address.Port())
	}
	return []string{fmt.Sprintf("%s dnat %s to numgen random mod %d map { %s }", proto, b.ip(), len(endpoints), strings.Join(picks, ", "))}
}

func (b Builder) chooseWithAffinity(e *Entry, p desired.ServicePort, kind string, endpoints []desired.Endpoint) []string {
	proto := "meta l4proto " + strings.ToLower(string(p.Protocol))
	var known, picks []string
	for i, ep := range endpoints {
		name := shorten(fmt.Sprintf("%s-%s-%s", kind, p.Name(), ep.Address))
		set := shorten("affinity-" + p.Name() + "-" + ep.Address.String())
		e.Sets = appendOnce(e.Sets, AffinitySet{Name: set, Seconds: p.AffinitySeconds})
		e.Chains = append(e.Chains, Chain{name, []string{
			fmt.Sprintf("update @%s { %s saddr }", set, b.ip()),
			proto + " dnat to " + address(ep.Address),
		}})
		known = append(known, fmt.Sprintf("%s saddr @%s goto %s", b.ip(), set, name))
		picks = append(picks, fmt.Sprintf("%d : goto %s", i, name))
	}
	return append(known, fmt.Sprintf("numgen random mod %d vmap { %s }", len(endpoints), strings.Join(picks, " , ")))
}

// firewall drops packets to the load balancer's addresses from sources outside spec.loadBalancerSourceRanges.
func (b Builder) firewall(e *Entry, p desired.ServicePort, key func(netip.Addr) string) {
	chain := chainName("firewall", p)
	var allowed []string
	for _, r := range p.SourceRanges {
		allowed = append(allowed, r.String())
	}
	e.Chains = append(e.Chains, Chain{chain, []string{fmt.Sprintf("%s saddr != { %s } drop", b.ip(), strings.Join(allowed, ", "))}})
	for _, ip := range p.LoadBalancerIPs {
		e.Elements = append(e.Elements, Element{mapFirewallIPs, true, key(ip), "goto " + chain})
	}
}

func appendOnce[T comparable](list []T, item T) []T {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

func address(a netip.AddrPort) string {
	if a.Addr().Is6() {
		return "[" + a.Addr().String() + "]:" + strconv.Itoa(int(a.Port()))
	}
	return a.String()
}

func chainName(kind string, p desired.ServicePort) string { return shorten(kind + "-" + p.Name()) }

// shorten gives a name that the kernel takes (at most 127 bytes) and nobody else has: a hash stands after the
// kind, and what is too long loses its end.
func shorten(name string) string {
	sum := sha256.Sum256([]byte(name))
	hash := base32.StdEncoding.EncodeToString(sum[:])[:8]
	kind, rest, _ := strings.Cut(name, "-")
	full := kind + "-" + hash + "-" + strings.Map(nameByte, rest)
	return full[:min(len(full), 120)]
}

// nameByte keeps what nft's grammar takes in an identifier.
func nameByte(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '/', r == '.', r == '_':
		return r
	}
	return '_'
}
