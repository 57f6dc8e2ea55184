package conformance

import (
	"net"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// listener is a pod that writes what it is asked over HTTP to its log.
func (s *space) listener() *v1.Pod {
	s.Helper()
	return s.start(s.pod("server", "witness serve --http=8080", func(p *v1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &v1.Probe{PeriodSeconds: 1, ProbeHandler: v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Port: intstr.FromInt32(8080)}}}
	}))
}

// wasAsked waits until the listener was asked this.
func (s *space) wasAsked(server *v1.Pod, asked string) {
	s.Helper()
	s.eventually("the server to hear "+asked, func() (any, bool) {
		log := s.log(server, "c")
		return log, strings.Contains("\n"+log, "\n"+asked+"\n")
	})
}

// byHTTP and byExec ask the listener from a hook.
func byHTTP(server *v1.Pod, path string) *v1.LifecycleHandler {
	return &v1.LifecycleHandler{HTTPGet: &v1.HTTPGetAction{Host: server.Status.PodIP, Port: intstr.FromInt32(8080), Path: path}}
}

func byExec(server *v1.Pod, path string) *v1.LifecycleHandler {
	return &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"wget", "-q", "-O-", "http://" + net.JoinHostPort(server.Status.PodIP, "8080") + path}}}
}

func TestLifecycleHooks(t *testing.T) {
	for _, c := range []struct {
		name string
		hook func(*v1.Pod, string) *v1.LifecycleHandler
	}{{"exec", byExec}, {"http", byHTTP}} {
		t.Run("poststart "+c.name, func(t *testing.T) {
			s := behaviour(t, "[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart "+c.name+" hook properly [NodeConformance]")
			server := s.listener()
			s.start(s.pod("p", "sleep 300", func(p *v1.Pod) {
				p.Spec.NodeName = server.Spec.NodeName
				p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: c.hook(server, "/echo?msg=poststart")}
			}))
			s.wasAsked(server, "GET /echo?msg=poststart")
		})
		t.Run("prestop "+c.name, func(t *testing.T) {
			s := behaviour(t, "[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute prestop "+c.name+" hook properly [NodeConformance]")
			server := s.listener()
			s.stops(server, c.hook(server, "/echo?msg=prestop"))
			s.wasAsked(server, "GET /echo?msg=prestop")
		})
	}
}

// stops runs a pod with a hook before its end on the server's node, deletes it, and waits until it is gone.
func (s *space) stops(server *v1.Pod, before *v1.LifecycleHandler) {
	s.Helper()
	s.start(s.pod("p", "trap 'exit 0' TERM; sleep 300 & wait", func(p *v1.Pod) {
		grace := int64(30)
		p.Spec.NodeName, p.Spec.TerminationGracePeriodSeconds = server.Spec.NodeName, &grace
		p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: before}
	}))
	if log := s.log(server, "c"); log != "" {
		s.Errorf("before the pod ends the server heard %s", log)
	}
	if err := s.Client.CoreV1().Pods(s.Namespace).Delete(s.Context(), "p", metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	s.goes(s.resource(coreV1("pods"), false), "p")
}

func TestHookBeforeTheEnd(t *testing.T) {
	s := behaviour(t, "[sig-node] PreStop should call prestop when killing a pod")
	server := s.listener()
	s.stops(server, &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"wget", "-q", "-O-", "--post-data={\"Source\":\"prestop\"}", "http://" + net.JoinHostPort(server.Status.PodIP, "8080") + "/write"}}})
	s.wasAsked(server, "POST /write")
}
