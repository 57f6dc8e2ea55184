// Package desired decides what a node's pod network should be.
package desired

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// ErrNoPodCIDR means that the node-ipam controller has not given this node its pod CIDR yet.
var ErrNoPodCIDR = errors.New("spec.podCIDRs is empty: the controller manager assigns it (--allocate-node-cidrs)")

// Plan is the pod network of one node.
type Plan struct {
	PodCIDRs     []netip.Prefix
	Routes       []Route // to the other nodes' pods, sorted by destination
	ClusterCIDRs []netip.Prefix
}

// Route says that the pods of Destination live behind the node at Via.
type Route struct {
	Destination netip.Prefix
	Via         netip.Addr
}

// String prints the plan a line a route.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pods %v\n", p.PodCIDRs)
	for _, r := range p.Routes {
		fmt.Fprintf(&b, "route %s via %s\n", r.Destination, r.Via)
	}
	return b.String()
}

// For makes the plan of the node called self. A node without addresses or pod CIDR gets no route yet.
func For(self string, nodes []*v1.Node, clusterCIDRs []string) (Plan, error) {
	var plan Plan
	var err error
	if plan.ClusterCIDRs, err = Prefixes(clusterCIDRs); err != nil {
		return Plan{}, fmt.Errorf("--cluster-cidr: %w", err)
	}
	found := false
	for _, n := range nodes {
		cidrs, err := Prefixes(podCIDRs(n))
		if err != nil {
			return Plan{}, fmt.Errorf("node %s: spec.podCIDRs: %w", n.Name, err)
		}
		if n.Name == self {
			found, plan.PodCIDRs = true, cidrs
			continue
		}
		for _, cidr := range cidrs {
			if via, ok := internalAddress(n, cidr.Addr().Is4()); ok {
				plan.Routes = append(plan.Routes, Route{Destination: cidr, Via: via})
			}
		}
	}
	if !found {
		return Plan{}, fmt.Errorf("node %s does not exist", self)
	}
	if len(plan.PodCIDRs) == 0 {
		return Plan{}, fmt.Errorf("node %s: %w", self, ErrNoPodCIDR)
	}
	slices.SortFunc(plan.Routes, func(a, b Route) int { return strings.Compare(a.Destination.String(), b.Destination.String()) })
	return plan, nil
}

func podCIDRs(n *v1.Node) []string {
	if len(n.Spec.PodCIDRs) == 0 && n.Spec.PodCIDR != "" {
		return []string{n.Spec.PodCIDR}
	}
	return n.Spec.PodCIDRs
}

// Prefixes parses CIDRs.
func Prefixes(cidrs []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func internalAddress(n *v1.Node, v4 bool) (netip.Addr, bool) {
	for _, a := range n.Status.Addresses {
		if a.Type != v1.NodeInternalIP {
			continue
		}
		if ip, err := netip.ParseAddr(a.Address); err == nil && ip.Is4() == v4 {
			return ip, true
		}
	}
	return netip.Addr{}, false
}

// ConfList is the CNI configuration (CNI specification 1.0.0) of the plan: a bridge a node, addresses from its
// pod CIDRs, host ports and bandwidth limits for the pods that ask for them.
func (p Plan) ConfList(mtu int) ([]byte, error) {
	type object = map[string]any
	var ranges, routes []any
	for _, cidr := range p.PodCIDRs {
		ranges = append(ranges, []object{{"subnet": cidr.String()}})
		everywhere := "0.0.0.0/0"
		if cidr.Addr().Is6() {
			everywhere = "::/0"
		}
		routes = append(routes, object{"dst": everywhere})
	}
	return json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       "pilotis",
		"plugins": []object{
			{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "mtu": mtu,
				"ipam": object{"type": "host-local", "ranges": ranges, "routes": routes}},
			{"type": "portmap", "capabilities": object{"portMappings": true}, "snat": true},
			{"type": "bandwidth", "capabilities": object{"bandwidth": true}},
		},
	}, "", "  ")
}
