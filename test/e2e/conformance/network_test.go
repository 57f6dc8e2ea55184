package conformance

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Ports of every pod that server makes. Whoever is asked at one of them answers with the pod's name.
const tcpPort, otherPort, udpPort, httpPort = 8080, 9090, 8080, 8000

// server starts a pod with the label app=server that answers with its name (test/e2e/witness).
func (s *space) server(name string, change ...func(*v1.Pod)) *v1.Pod {
	s.Helper()
	return s.start(s.serving(name, change...))
}

// serving is the pod of server.
func (s *space) serving(name string, change ...func(*v1.Pod)) *v1.Pod {
	pod := s.pod(name, "", change...)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels["app"], pod.Labels["who"] = "server", name
	c := &pod.Spec.Containers[0]
	c.Command = serves
	c.ReadinessProbe = &v1.Probe{PeriodSeconds: 1, ProbeHandler: v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Port: intstr.FromInt32(tcpPort)}}}
	return pod
}

var serves = []string{"witness", "serve", fmt.Sprintf("--tcp=%d,%d", tcpPort, otherPort), fmt.Sprintf("--udp=%d", udpPort), fmt.Sprintf("--http=%d", httpPort)}

// client starts a pod to ask from.
func (s *space) client(change ...func(*v1.Pod)) *v1.Pod {
	s.Helper()
	return s.start(s.pod("client", "sleep 100000", change...))
}

// on puts a pod on a node.
func on(node string) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Spec.NodeName = node }
}

// ofTheNode gives a pod the node's network.
func ofTheNode(p *v1.Pod) { p.Spec.HostNetwork, p.Spec.DNSPolicy = true, v1.DNSClusterFirstWithHostNet }

// service applies a Service whose spec is in flow style, and gives it.
func (s *space) service(name, spec string) *v1.Service {
	s.Helper()
	s.apply("apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: " + spec + "\n")
	return must[*v1.Service](s)(s.Client.CoreV1().Services(s.Namespace).Get(s.Context(), name, metav1.GetOptions{}))
}

// patchService gives the Service as it is after the patch of its spec.
func (s *space) patchService(name, spec string) *v1.Service {
	s.Helper()
	s.kubectl("patch", "service", name, "--type=merge", "-p", `{"spec":`+spec+`}`)
	return must[*v1.Service](s)(s.Client.CoreV1().Services(s.Namespace).Get(s.Context(), name, metav1.GetOptions{}))
}

// domain is where the Services of the test's namespace have their names.
func (s *space) domain() string { return "." + s.Namespace + ".svc.cluster.local" }

// ask asks addresses like tcp://web:80 from a pod and gives who answered, each once: names of pods, refused, timeout.
func (s *space) ask(from *v1.Pod, args ...string) string {
	s.Helper()
	var names []string
	for line := range strings.Lines(s.inPod(from, "witness ask "+strings.Join(args, " "))) {
		line = strings.TrimSpace(line)
		name, _, _ := strings.Cut(line, " ")
		if name == "error:" {
			name = line
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// hears asks until those who answer are want: rules follow a change of the API within moments.
func (s *space) hears(want string, from *v1.Pod, args ...string) {
	s.Helper()
	s.eventually(fmt.Sprintf("%q to answer %s asking %s", want, from.Name, strings.Join(args, " ")), func() (any, bool) {
		got := s.ask(from, args...)
		return got, got == want
	})
}

// resolves waits until a pod's name servers have these records of a name.
func (s *space) resolves(from *v1.Pod, kind, name string, want ...string) {
	s.Helper()
	slices.Sort(want)
	s.eventually("records "+kind+" of "+name+" to be "+strings.Join(want, ", "), func() (any, bool) {
		out, err := s.tryKubectl("", "exec", from.Name, "--", "witness", "lookup", kind, name)
		if err != nil {
			return err, false
		}
		return out, slices.Equal(strings.Fields(out), strings.Fields(strings.Join(want, " ")))
	})
}

// nodeAddresses are the internal addresses of the nodes.
func (s *space) nodeAddresses() []string {
	s.Helper()
	return strings.Fields(s.kubectl("get", "nodes", "-o", `jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}`))
}
