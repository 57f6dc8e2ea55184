package app

import (
	"slices"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/status"
)

// portTaken refuses a pod that wants a host port which an admitted pod has: one that was bound to the node past the
// scheduler, or by one that had not seen the other. Static pods always fit.
func (k *Kubelet) portTaken(pod *v1.Pod) *status.Rejection {
	wanted := hostPorts(pod)
	if desired.IsStatic(pod) || len(wanted) == 0 {
		return nil
	}
	for _, other := range k.admittedPods() {
		if other.UID == pod.UID || ended(other) {
			continue
		}
		for _, used := range hostPorts(other) {
			if slices.ContainsFunc(wanted, func(p v1.ContainerPort) bool { return samePort(p, used) }) {
				return &status.Rejection{Reason: "NodePorts", Message: "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"}
			}
		}
	}
	return nil
}

// hostPorts are the ports of the node that the pod takes for as long as it runs.
func hostPorts(pod *v1.Pod) []v1.ContainerPort {
	var ports []v1.ContainerPort
	take := func(c v1.Container) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				ports = append(ports, p)
			}
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			take(c)
		}
	}
	for _, c := range pod.Spec.Containers {
		take(c)
	}
	return ports
}

// samePort tells whether two pods cannot both have their port: no address, or 0.0.0.0, means every address of the node.
func samePort(a, b v1.ContainerPort) bool {
	protocol := func(p v1.ContainerPort) v1.Protocol {
		if p.Protocol == "" {
			return v1.ProtocolTCP
		}
		return p.Protocol
	}
	every := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	return a.HostPort == b.HostPort && protocol(a) == protocol(b) && (a.HostIP == b.HostIP || every(a.HostIP) || every(b.HostIP))
}
