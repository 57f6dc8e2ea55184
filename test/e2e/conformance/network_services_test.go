package conformance

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
)

// threeServers runs a Deployment of three pods with app=web.
func (s *space) threeServers() {
	s.Helper()
	s.apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [witness, serve, "--tcp=%d"], readinessProbe: {tcpSocket: {port: %d}, periodSeconds: 1}}]
`, tcpPort, tcpPort))
	s.rolledOut(3)
}

// ways are the addresses at which the Service is reached over TCP: its name, its address, and its port of every node.
func (s *space) ways(service *v1.Service) []string {
	s.Helper()
	port := service.Spec.Ports[0]
	targets := []string{fmt.Sprintf("tcp://%s:%d", service.Name, port.Port), fmt.Sprintf("tcp://%s:%d", service.Spec.ClusterIP, port.Port)}
	if port.NodePort == 0 {
		return targets
	}
	for _, ip := range s.nodeAddresses() {
		targets = append(targets, fmt.Sprintf("tcp://%s:%d", ip, port.NodePort))
	}
	return targets
}

// sticks waits until a client hears one pod, or all three, when it asks often by each way.
func (s *space) sticks(from *v1.Pod, service *v1.Service, one bool) {
	s.Helper()
	for _, target := range s.ways(service) {
		s.eventually(fmt.Sprintf("the same pod of %s each time: %v", target, one), func() (any, bool) {
			names := strings.Fields(s.ask(from, "--count=40", target))
			for _, name := range names {
				if !strings.HasPrefix(name, "web-") {
					return names, false
				}
			}
			return names, one && len(names) == 1 || !one && len(names) == 3
		})
	}
}

const sticky, loose = `{"sessionAffinity":"ClientIP"}`, `{"sessionAffinity":"None"}`

func TestAffinityOfClusterIP(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should have session affinity work for service with type clusterIP [LinuxOnly]")
	s.threeServers()
	s.sticks(s.client(), s.service("web", "{sessionAffinity: ClientIP, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}"), true)
}

func TestAffinityOfNodePort(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should have session affinity work for NodePort service [LinuxOnly]")
	s.threeServers()
	s.sticks(s.client(), s.service("web", "{type: NodePort, sessionAffinity: ClientIP, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}"), true)
}

// switchesAffinity changes a Service that begins with affinity to none and back.
func (s *space) switchesAffinity(spec string) {
	s.Helper()
	s.threeServers()
	client := s.client()
	service := s.service("web", "{"+spec+"sessionAffinity: ClientIP, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}")
	s.sticks(client, service, true)
	s.sticks(client, s.patchService("web", loose), false)
	s.sticks(client, s.patchService("web", sticky), true)
}

func TestAffinityOfClusterIPChanges(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should be able to switch session affinity for service with type clusterIP [LinuxOnly]")
	s.switchesAffinity("")
}

func TestAffinityOfNodePortChanges(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should be able to switch session affinity for NodePort service [LinuxOnly]")
	s.switchesAffinity("type: NodePort, ")
}

func TestNodePort(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should be able to create a functioning NodePort service")
	s.server("one")
	s.server("two")
	service := s.service("web", "{type: NodePort, selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}")
	for _, node := range s.workNodes() {
		client := s.start(s.pod("client-"+node, "sleep 100000", on(node)))
		for _, target := range s.ways(service) {
			s.hears("one two", client, "--count=20", target)
		}
	}
}

func TestAddressBecomesName(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should be able to change the type from ClusterIP to ExternalName")
	s.server("target")
	client := s.client()
	target := s.service("target", "{selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}")
	before := s.service("web", "{selector: {app: nobody}, ports: [{port: 80}]}").Spec.ClusterIP
	s.resolves(client, "a", "web"+s.domain(), before)
	after := s.patchService("web", `{"type":"ExternalName","externalName":"target`+s.domain()+`"}`).Spec
	if before == "" || after.ClusterIP != "" || len(after.ClusterIPs) != 0 {
		t.Errorf("the address was %q and is %q, %v", before, after.ClusterIP, after.ClusterIPs)
	}
	s.resolves(client, "a", "web"+s.domain(), target.Spec.ClusterIP)
	s.hears("target", client, "tcp://web:80")
}

// nameBecomes changes a Service that is only a name to one of this type, which is reached by all its ways.
func (s *space) nameBecomes(kind v1.ServiceType) {
	s.Helper()
	s.server("one")
	client := s.client()
	if ip := s.service("web", "{type: ExternalName, externalName: elsewhere.example.com}").Spec.ClusterIP; ip != "" {
		s.Errorf("a Service that is only a name has the address %s", ip)
	}
	service := s.patchService("web", fmt.Sprintf(`{"type":%q,"externalName":null,"selector":{"app":"server"},"ports":[{"port":80,"protocol":"TCP","targetPort":%d}]}`, kind, tcpPort))
	if ported := service.Spec.Ports[0].NodePort != 0; service.Spec.ClusterIP == "" || ported != (kind == v1.ServiceTypeNodePort) {
		s.Errorf("the Service has the address %q and the node port %d", service.Spec.ClusterIP, service.Spec.Ports[0].NodePort)
	}
	for _, target := range s.ways(service) {
		s.hears("one", client, target)
	}
}

func TestNameBecomesAddress(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should be able to change the type from ExternalName to ClusterIP")
	s.nameBecomes(v1.ServiceTypeClusterIP)
}

func TestNameBecomesNodePort(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should be able to change the type from ExternalName to NodePort")
	s.nameBecomes(v1.ServiceTypeNodePort)
}

func TestServiceFollowsItsPods(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should serve a basic endpoint from pods")
	s.service("web", "{selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}")
	client := s.client()
	s.leadsTo("web")
	s.hears("refused", client, "tcp://web:80")
	one := s.server("one")
	s.leadsTo("web", at(one, tcpPort))
	s.hears("one", client, "tcp://web:80")
	two := s.server("two")
	s.leadsTo("web", at(one, tcpPort), at(two, tcpPort))
	s.hears("one two", client, "--count=20", "tcp://web:80")
	s.kubectl("delete", "pod", "two")
	s.leadsTo("web", at(one, tcpPort))
	s.hears("one", client, "--count=20", "tcp://web:80")
	s.kubectl("delete", "pod", "one")
	s.leadsTo("web")
	s.hears("refused", client, "tcp://web:80")
}

func TestPortsHavePodsOfTheirOwn(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should serve multiport endpoints from pods")
	s.service("web", "{selector: {app: server}, ports: [{name: a, port: 80, targetPort: a}, {name: b, port: 81, targetPort: b}]}")
	client := s.client()
	s.leadsTo("web")
	offers := func(name string, port int32) *v1.Pod {
		t.Helper()
		return s.server("pod-"+name, func(p *v1.Pod) {
			p.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: name, ContainerPort: port}}
		})
	}
	a := offers("a", tcpPort)
	s.leadsTo("web", at(a, tcpPort))
	b := offers("b", otherPort)
	s.leadsTo("web", at(a, tcpPort), at(b, otherPort))
	s.hears("pod-a", client, "tcp://web:80")
	s.hears("pod-b", client, "tcp://web:81")
	s.kubectl("delete", "pod", "pod-a")
	s.leadsTo("web", at(b, otherPort))
	s.hears("refused", client, "tcp://web:80")
	s.kubectl("delete", "pod", "pod-b")
	s.leadsTo("web")
}

func TestProtocolsShareAPort(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should serve endpoints on same port and different protocols")
	s.server("one")
	client := s.client()
	const tcp, udp = `{"name":"tcp","port":80,"protocol":"TCP","targetPort":8080}`, `{"name":"udp","port":80,"protocol":"UDP","targetPort":8080}`
	ip := s.service("web", `{selector: {app: server}, ports: [`+tcp+`,`+udp+`]}`).Spec.ClusterIP
	both := []string{"tcp://" + ip + ":80", "udp://" + ip + ":80"}
	s.hears("one", client, both...)
	s.patchService("web", `{"ports":[`+tcp+`]}`)
	s.nobodyAnswers(client, both[1])
	s.hears("one", client, both[0])
	s.patchService("web", `{"ports":[`+udp+`]}`)
	s.nobodyAnswers(client, both[0])
	s.hears("one", client, both[1])
}

// nobodyAnswers waits until an address refuses or is silent.
func (s *space) nobodyAnswers(from *v1.Pod, target string) {
	s.Helper()
	s.eventually("nobody to answer at "+target, func() (any, bool) {
		got := s.ask(from, target)
		return got, got == "refused" || got == "timeout"
	})
}
