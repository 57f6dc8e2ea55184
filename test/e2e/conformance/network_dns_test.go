package conformance

import (
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestNamesOfTheCluster(t *testing.T) {
	s := behaviour(t, "[sig-network] DNS should provide DNS for the cluster")
	ip := s.kubectl("get", "service", "kubernetes", "--namespace=default", "-o", "jsonpath={.spec.clusterIP}")
	client := s.client()
	for _, name := range []string{"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"} {
		s.resolves(client, "a", name, ip)
	}
}

// named puts a pod under a name of the headless Service "names".
func named(p *v1.Pod) { p.Spec.Hostname, p.Spec.Subdomain = "querier", "names" }

func TestOwnNameInHostsFile(t *testing.T) {
	s := behaviour(t, "[sig-network] DNS should provide /etc/hosts entries for the cluster")
	s.service("names", "{clusterIP: None, selector: {app: server}, ports: [{port: 80}]}")
	pod := s.server("web", named)
	want := pod.Status.PodIP + " querier.names" + s.domain() + " querier"
	for line := range strings.Lines(s.inPod(pod, "cat /etc/hosts")) {
		if strings.Join(strings.Fields(line), " ") == want {
			return
		}
	}
	t.Errorf("/etc/hosts does not say %q:\n%s", want, s.inPod(pod, "cat /etc/hosts"))
}

func TestNamesByHostname(t *testing.T) {
	s := behaviour(t, "[sig-network] DNS should provide DNS for pods for Hostname")
	s.service("names", "{clusterIP: None, selector: {app: server}, ports: [{port: 80}]}")
	pod := s.server("web", named)
	if got := s.inPod(pod, "hostname"); got != "querier" {
		t.Errorf("the pod's hostname is %s", got)
	}
	for _, name := range []string{"querier.names" + s.domain(), "querier.names", "querier"} {
		s.resolves(pod, "a", name, pod.Status.PodIP)
	}
}

func TestNamesBySubdomain(t *testing.T) {
	s := behaviour(t, "[sig-network] DNS should provide DNS for pods for Subdomain")
	s.service("names", "{clusterIP: None, selector: {app: server}, ports: [{port: 80}]}")
	pod, client := s.server("web", named), s.client()
	if got, want := s.inPod(pod, "hostname -f"), "querier.names"+s.domain(); got != want {
		t.Errorf("the pod's full name is %s, want %s", got, want)
	}
	s.resolves(client, "a", "querier.names"+s.domain(), pod.Status.PodIP)
	s.resolves(client, "a", "names"+s.domain(), pod.Status.PodIP)
}

func TestNamesOfServices(t *testing.T) {
	s := behaviour(t, "[sig-network] DNS should provide DNS for services")
	pod, client := s.server("web"), s.client()
	everyName := func(service, address string) {
		t.Helper()
		for _, name := range []string{service, service + "." + s.Namespace, service + "." + s.Namespace + ".svc", service + s.domain()} {
			s.resolves(client, "a", name, address)
		}
	}
	s.service("headless", "{clusterIP: None, selector: {app: server}, ports: [{name: http, port: 8080}]}")
	endpoint := strings.ReplaceAll(pod.Status.PodIP, ".", "-") + ".headless" + s.domain() + "."
	everyName("headless", pod.Status.PodIP)
	s.resolves(client, "srv", "_http._tcp.headless"+s.domain(), endpoint+" 8080")
	s.resolves(client, "ptr", pod.Status.PodIP, endpoint)

	ip := s.service("web", "{selector: {app: server}, ports: [{name: http, port: 80, targetPort: 8080}]}").Spec.ClusterIP
	everyName("web", ip)
	s.resolves(client, "srv", "_http._tcp.web"+s.domain(), "web"+s.domain()+". 80")
	s.resolves(client, "ptr", ip, "web"+s.domain()+".")
}

func TestNamesOfExternalServices(t *testing.T) {
	s := behaviour(t, "[sig-network] DNS should provide DNS for ExternalName services")
	const first, second = "kubernetes.default.svc.cluster.local", "kube-dns.kube-system.svc.cluster.local"
	client := s.client()
	s.service("alias", "{type: ExternalName, externalName: "+first+"}")
	s.resolves(client, "cname", "alias"+s.domain(), first+".")
	s.patchService("alias", `{"externalName":"`+second+`"}`)
	s.resolves(client, "cname", "alias"+s.domain(), second+".")
	own := s.patchService("alias", `{"type":"ClusterIP","externalName":null,"ports":[{"port":80}]}`)
	s.resolves(client, "a", "alias"+s.domain(), own.Spec.ClusterIP)
}

func TestNameServersOfAPod(t *testing.T) {
	s := behaviour(t, "[sig-network] DNS should support configurable pod DNS nameservers")
	two := "2"
	pod := s.client(func(p *v1.Pod) {
		p.Spec.DNSPolicy = v1.DNSNone
		p.Spec.DNSConfig = &v1.PodDNSConfig{Nameservers: []string{"192.0.2.1"}, Searches: []string{"resolv.conf.local"}, Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: &two}}}
	})
	lines := strings.Split(s.inPod(pod, "cat /etc/resolv.conf"), "\n")
	slices.Sort(lines)
	if want := []string{"nameserver 192.0.2.1", "options ndots:2", "search resolv.conf.local"}; !slices.Equal(lines, want) {
		t.Errorf("/etc/resolv.conf has %q, want %q", lines, want)
	}
}
