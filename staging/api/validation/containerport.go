package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func containerPorts(f *faults, ctr *corev1.Container, c *podContext, p *field.Path) {
	if len(ctr.Ports) == 0 {
		return
	}
	p = p.Child("ports")
	var names seen[string]
	for i := range ctr.Ports {
		port := &ctr.Ports[i]
		at := p.Index(i)
		if port.Name != "" {
			if msgs := validation.IsValidPortName(port.Name); len(msgs) > 0 {
				f.messages(at, "name", port.Name, msgs)
			} else if names.again(port.Name) {
				f.duplicate(at, "name", port.Name)
			}
		}
		if port.ContainerPort == 0 {
			f.required(at, "containerPort", "")
		} else {
			portNumber(f, at, "containerPort", port.ContainerPort)
		}
		if port.HostPort != 0 {
			portNumber(f, at, "hostPort", port.HostPort)
		}
		requireOneOf(f, at, "protocol", port.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
		if port.HostIP != "" {
			f.add(validation.IsValidIPForLegacyField(at.Child("hostIP"), port.HostIP, true, c.tol.ips)...)
		}
		if c.spec.HostNetwork && port.HostPort != 0 && port.HostPort != port.ContainerPort {
			f.invalid(at, "containerPort", port.ContainerPort, "must match `hostPort` when `hostNetwork` is true")
		}
	}
}

func portNumber(f *faults, p *field.Path, name string, port int32) {
	for _, msg := range validation.IsValidPortNum(int(port)) {
		f.invalid(p, name, port, msg)
	}
}

// portOrName checks a port that may be given by the name of a container's port.
func portOrName(f *faults, port intstr.IntOrString, p *field.Path, name string) {
	if port.Type == intstr.Int {
		portNumber(f, p, name, port.IntVal)
		return
	}
	f.messages(p, name, port.StrVal, validation.IsValidPortName(port.StrVal))
}

// hostPortConflicts finds ports of the node that one pod asks for twice.
func hostPortConflicts(f *faults, list []corev1.Container, p *field.Path) {
	type key struct {
		protocol corev1.Protocol
		ip       string
		port     int32
	}
	var taken seen[key]
	for i := range list {
		for j, port := range list[i].Ports {
			if port.HostPort != 0 && taken.again(key{port.Protocol, port.HostIP, port.HostPort}) {
				f.duplicate(p.Index(i).Child("ports").Index(j), "hostPort", fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort))
			}
		}
	}
}
