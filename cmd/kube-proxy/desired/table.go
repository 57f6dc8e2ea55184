// Package desired turns Services and EndpointSlices into what a node should do with a Service's packets.
package desired

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ServicePort is one port of a Service in one IP family, with the endpoints that this node sends its packets to.
type ServicePort struct {
	Service  types.NamespacedName
	PortName string
	Protocol v1.Protocol
	Port     uint16
	NodePort uint16 // 0: none

	ClusterIP       netip.Addr
	ExternalIPs     []netip.Addr
	LoadBalancerIPs []netip.Addr   // those the kube-proxy handles (ipMode VIP)
	SourceRanges    []netip.Prefix // who may use LoadBalancerIPs; empty: everybody

	AffinitySeconds int32 // ClientIP session affinity; 0: none
	ExternalLocal   bool  // externalTrafficPolicy: Local
	InternalLocal   bool  // internalTrafficPolicy: Local
	// HealthCheckNodePort answers load balancers' checks of a Service with ExternalLocal; 0: none.
	HealthCheckNodePort uint16

	// Cluster are the endpoints for traffic that may go anywhere, Local those on this node. Both are usable:
	// ready ones, or serving terminating ones where no ready one is left (KEP-1669).
	Cluster, Local []Endpoint
	// AnyEndpoint tells whether the Service has usable endpoints at all, on whichever node.
	AnyEndpoint bool
}

// Endpoint is a pod's (or another backend's) address.
type Endpoint struct {
	Address netip.AddrPort
	Local   bool // on this node
}

// Name is how the port is called in rules and logs: namespace/service/protocol/port name.
func (p ServicePort) Name() string {
	return fmt.Sprintf("%s/%s/%s/%s", p.Service.Namespace, p.Service.Name, strings.ToLower(string(p.Protocol)), p.PortName)
}

// Internal are the endpoints for packets to the cluster IP.
func (p ServicePort) Internal() []Endpoint {
	if p.InternalLocal {
		return p.Local
	}
	return p.Cluster
}

// External are the endpoints for packets to node ports, external and load balancer addresses that come from
// outside the cluster.
func (p ServicePort) External() []Endpoint {
	if p.ExternalLocal {
		return p.Local
	}
	return p.Cluster
}

// Outside are all addresses but the cluster IP.
func (p ServicePort) Outside() []netip.Addr {
	return slices.Concat(p.ExternalIPs, p.LoadBalancerIPs)
}

// String prints the port and its endpoints on a line.
func (p ServicePort) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:%d", p.Name(), p.ClusterIP, p.Port)
	if p.NodePort != 0 {
		fmt.Fprintf(&b, " nodePort %d", p.NodePort)
	}
	if out := p.Outside(); len(out) > 0 {
		fmt.Fprintf(&b, " external %v", out)
	}
	if p.AffinitySeconds > 0 {
		fmt.Fprintf(&b, " affinity %ds", p.AffinitySeconds)
	}
	fmt.Fprintf(&b, " → %s", endpoints(p.Cluster))
	if p.ExternalLocal || p.InternalLocal {
		fmt.Fprintf(&b, " local %s", endpoints(p.Local))
	}
	return b.String()
}

func endpoints(list []Endpoint) string {
	var names []string
	for _, e := range list {
		names = append(names, e.Address.String())
	}
	return "[" + strings.Join(names, " ") + "]"
}
