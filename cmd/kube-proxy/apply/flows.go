package apply

import (
	"maps"
	"net/netip"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kube-proxy/desired"
)

// Flows are destinations of UDP packets, each with the endpoints that may answer there.
type Flows map[netip.AddrPort]map[netip.AddrPort]bool

// flowsOf gives the destinations of the UDP ports. nodeIPs are the addresses that node ports answer on.
func flowsOf(ports []desired.ServicePort, nodeIPs []netip.Addr) Flows {
	flows := Flows{}
	for _, p := range ports {
		if p.Protocol != v1.ProtocolUDP {
			continue
		}
		endpoints := map[netip.AddrPort]bool{}
		for _, list := range [][]desired.Endpoint{p.Cluster, p.Local} {
			for _, e := range list {
				endpoints[e.Address] = true
			}
		}
		flows[netip.AddrPortFrom(p.ClusterIP, p.Port)] = endpoints
		for _, ip := range p.Outside() {
			flows[netip.AddrPortFrom(ip, p.Port)] = endpoints
		}
		if p.NodePort != 0 {
			for _, ip := range nodeIPs {
				flows[netip.AddrPortFrom(ip, p.NodePort)] = endpoints
			}
		}
	}
	return flows
}

// stale gives the destinations whose flows may lead astray after a change of one Service from before to now: those that
// lost an endpoint, and those that had none, so that packets passed unchanged.
func stale(before, now Flows) Flows {
	out := Flows{}
	for to, endpoints := range now {
		if len(before[to]) == 0 && len(endpoints) > 0 {
			out[to] = endpoints
		}
	}
	for to, endpoints := range before {
		for e := range endpoints {
			if !now[to][e] {
				out[to] = now[to]
			}
		}
	}
	return out
}

// add joins other into f: a Service may take over the address that another one gave back.
func (f Flows) add(other Flows) {
	for to, endpoints := range other {
		if f[to] == nil {
			f[to] = map[netip.AddrPort]bool{}
		}
		maps.Copy(f[to], endpoints)
	}
}
