package conformance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// everyServer starts a server on each node that takes pods.
func (s *space) everyServer() []*v1.Pod {
	s.Helper()
	var pods []*v1.Pod
	for i, node := range s.workNodes() {
		pods = append(pods, s.server(fmt.Sprintf("server-%d", i), on(node)))
	}
	return pods
}

// reachesEvery asks each server from a client on each node, over HTTP or UDP.
func (s *space) reachesEvery(protocol string, change ...func(*v1.Pod)) {
	s.Helper()
	servers := s.everyServer()
	for i, node := range s.workNodes() {
		client := s.start(s.pod(fmt.Sprintf("client-%d", i), "sleep 100000", append(change, on(node))...))
		for _, server := range servers {
			switch protocol {
			case "http":
				if got := s.inPod(client, "wget -qO- http://"+at(server, httpPort)+"/who"); got != server.Name+" GET /who" {
					s.Errorf("%s answers a client on %s %q", server.Name, node, got)
				}
			case "udp":
				s.hears(server.Name, client, "udp://"+at(server, udpPort)) // a datagram may be lost
			}
		}
	}
}

func TestPodsReachPodsOverHTTP(t *testing.T) {
	s := behaviour(t, "[sig-network] Networking Granular Checks: Pods should function for intra-pod communication: http [NodeConformance]")
	s.reachesEvery("http")
}

func TestPodsReachPodsOverUDP(t *testing.T) {
	s := behaviour(t, "[sig-network] Networking Granular Checks: Pods should function for intra-pod communication: udp [NodeConformance]")
	s.reachesEvery("udp")
}

func TestNodesReachPodsOverHTTP(t *testing.T) {
	s := behaviour(t, "[sig-network] Networking Granular Checks: Pods should function for node-pod communication: http [LinuxOnly] [NodeConformance]")
	s.reachesEvery("http", ofTheNode)
}

func TestNodesReachPodsOverUDP(t *testing.T) {
	s := behaviour(t, "[sig-network] Networking Granular Checks: Pods should function for node-pod communication: udp [LinuxOnly] [NodeConformance]")
	s.reachesEvery("udp", ofTheNode)
}

func TestOneHostPortForThree(t *testing.T) {
	s := behaviour(t, "[sig-network] HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol [LinuxOnly]")
	const port = 21323
	node := s.workNodes()[0]
	address := s.kubectl("get", "node", node, "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`)
	listens := func(name, ip string, protocol v1.Protocol) {
		t.Helper()
		s.server(name, func(p *v1.Pod) {
			p.Spec.NodeSelector = map[string]string{v1.LabelHostname: node} // the scheduler must let them
			p.Spec.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: tcpPort, HostPort: port, HostIP: ip, Protocol: protocol}}
		})
	}
	listens("local", "127.0.0.1", v1.ProtocolTCP)
	listens("outer", address, v1.ProtocolTCP)
	listens("datagrams", address, v1.ProtocolUDP)
	client := s.client(on(node), ofTheNode)
	s.hears("local", client, fmt.Sprintf("tcp://127.0.0.1:%d", port))
	s.hears("outer", client, fmt.Sprintf("tcp://%s:%d", address, port))
	s.hears("datagrams", client, fmt.Sprintf("udp://%s:%d", address, port))
}

func TestProxyWithPath(t *testing.T) {
	s := behaviour(t, "[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service ProxyWithPath")
	pod := s.server("web")
	s.service("web", fmt.Sprintf("{selector: {app: server}, ports: [{name: http, port: 80, targetPort: %d}]}", httpPort))
	s.leadsTo("web", at(pod, httpPort))
	client := must[*http.Client](s)(rest.HTTPClientFor(s.Config))
	for _, target := range []string{fmt.Sprintf("pods/web:%d", httpPort), "services/web:http", "services/web:80"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			url := strings.TrimSuffix(s.Config.Host, "/") + "/api/v1/namespaces/" + s.Namespace + "/" + target + "/proxy/some/path?method=" + method
			request := must[*http.Request](s)(http.NewRequestWithContext(s.Context(), method, url, nil))
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if got, want := response.Header.Get("Asked"), method+" /some/path?method="+method; response.StatusCode != http.StatusOK || got != want {
				t.Errorf("%s %s: %s, what was asked is %q, want %q", method, target, response.Status, got, want)
			}
		}
	}
}
