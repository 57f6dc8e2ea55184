package app

import (
	"context"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/desired"
)

func TestAHostPortIsGivenOnce(t *testing.T) {
	always := v1.ContainerRestartPolicyAlways
	with := func(port int32, protocol v1.Protocol, ip string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: 80, HostPort: port, Protocol: protocol, HostIP: ip}}
		}
	}
	for _, tt := range []struct {
		name    string
		first   func(*v1.Pod)
		second  func(*v1.Pod)
		refused bool
	}{
		{"the same port", with(7000, v1.ProtocolTCP, ""), with(7000, v1.ProtocolTCP, ""), true},
		{"every address and one", with(7000, v1.ProtocolTCP, "0.0.0.0"), with(7000, v1.ProtocolTCP, "127.0.0.1"), true},
		{"two addresses", with(7000, v1.ProtocolTCP, "127.0.0.2"), with(7000, v1.ProtocolTCP, "127.0.0.1"), false},
		{"two protocols", with(7000, v1.ProtocolTCP, ""), with(7000, v1.ProtocolUDP, ""), false},
		{"two ports", with(7000, v1.ProtocolTCP, ""), with(7001, v1.ProtocolTCP, ""), false},
		{"no host port", with(0, v1.ProtocolTCP, ""), with(0, v1.ProtocolTCP, ""), false},
		{"a sidecar's port", with(7000, v1.ProtocolTCP, ""), func(p *v1.Pod) {
			with(7000, "", "")(p)
			p.Spec.InitContainers = []v1.Container{{Name: "side", Image: "web:1", RestartPolicy: &always, Ports: p.Spec.Containers[0].Ports}}
			p.Spec.Containers[0].Ports = nil
		}, true},
		{"a static pod's port", with(7000, v1.ProtocolTCP, ""), func(p *v1.Pod) {
			with(7000, v1.ProtocolTCP, "")(p)
			p.Annotations = map[string]string{desired.AnnotationSource: desired.File}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newWorld(t, nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer func() { cancel(); synctest.Wait() }()
				n.begin(ctx)
				n.Desired.Replace(desired.API, []*v1.Pod{apiPod("p1", tt.first)})
				settle()
				if n.phase("p1") != v1.PodRunning {
					t.Fatalf("the first pod is %s", n.phase("p1"))
				}
				r := n.refuse(apiPod("p2", tt.second))
				if refused := r != nil && r.Reason == "NodePorts"; refused != tt.refused {
					t.Errorf("the second pod is refused: %v, want %v (%v)", refused, tt.refused, r)
				}
			})
		})
	}
}
