package conformance

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestImageAsVolume(t *testing.T) {
	s := behaviour(t, "[sig-node] ImageVolume should succeed with pod and pull policy of Always [LinuxOnly] [MinimumKubeletVersion:1.35]")
	// Runtimes ask a registry on the node's loopback address without TLS.
	const registry = "127.0.0.1:5055"
	server := s.start(s.pod("registry", "witness registry --listen="+registry+" --file=dir/file --text=hello", func(p *v1.Pod) {
		p.Spec.HostNetwork = true
		p.Spec.Containers[0].ReadinessProbe = &v1.Probe{PeriodSeconds: 1, ProbeHandler: v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Host: "127.0.0.1", Port: intstr.FromInt32(5055)}}}
	}))
	pod := s.start(s.mounting([]v1.VolumeSource{{Image: &v1.ImageVolumeSource{Reference: registry + "/e2e/" + s.Namespace + ":1", PullPolicy: v1.PullAlways}}}, func(p *v1.Pod) {
		p.Spec.NodeName = server.Spec.NodeName
	}))
	s.holds(pod, "/v0/dir/file", "hello", "-rw-r--r--")
	if log := s.log(server, "c"); !strings.Contains(log, "/v2/e2e/"+s.Namespace+"/manifests/1\n") {
		t.Errorf("the registry was asked\n%s", log)
	}
	if got := s.inPod(pod, "(echo more > /v0/dir/file) 2>/dev/null || echo refused"); got != "refused" {
		t.Errorf("writing to the image: %q", got)
	}
}
