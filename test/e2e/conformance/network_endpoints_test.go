package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// endpointsOf are "address:port" of what a Service's Endpoints name as ready.
func (s *space) endpointsOf(namespace, service string) []string {
	s.Helper()
	e, err := s.Client.CoreV1().Endpoints(namespace).Get(s.Context(), service, metav1.GetOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, subset := range e.Subsets {
		for _, a := range subset.Addresses {
			for _, p := range subset.Ports {
				found = append(found, fmt.Sprintf("%s:%d", a.IP, p.Port))
			}
		}
	}
	slices.Sort(found)
	return found
}

// slicesOf are "address:port" of what a Service's EndpointSlices name as ready.
func (s *space) slicesOf(namespace, service string) []string {
	s.Helper()
	list := must[*discoveryv1.EndpointSliceList](s)(s.Client.DiscoveryV1().EndpointSlices(namespace).List(s.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service}))
	var found []string
	for _, slice := range list.Items {
		for _, e := range slice.Endpoints {
			for _, p := range slice.Ports {
				if e.Conditions.Ready == nil || *e.Conditions.Ready {
					found = append(found, fmt.Sprintf("%s:%d", e.Addresses[0], *p.Port))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// leadsTo waits until Endpoints and EndpointSlices of the Service name these and nothing else.
func (s *space) leadsTo(service string, want ...string) {
	s.Helper()
	slices.Sort(want)
	s.eventually(fmt.Sprintf("the endpoints of %s to be %v", service, want), func() (any, bool) {
		old, now := s.endpointsOf(s.Namespace, service), s.slicesOf(s.Namespace, service)
		return fmt.Sprintln(old, now), slices.Equal(old, want) && slices.Equal(now, want)
	})
}

// at is the address of a pod's port.
func at(pod *v1.Pod, port int) string { return fmt.Sprintf("%s:%d", pod.Status.PodIP, port) }

func TestEndpointsOfTheAPI(t *testing.T) {
	s := behaviour(t, "[sig-network] API Server should have Endpoints and EndpointSlices pointing to API Server")
	var want []string
	for _, ip := range strings.Fields(s.kubectl("get", "pods", "--namespace=kube-system", "-l", "component=kube-apiserver", "-o", "jsonpath={.items[*].status.hostIP}")) {
		want = append(want, ip+":6443")
	}
	slices.Sort(want)
	if got := s.endpointsOf("default", "kubernetes"); len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("Endpoints name %v, the API servers are at %v", got, want)
	}
	if got := s.slicesOf("default", "kubernetes"); !slices.Equal(got, want) {
		t.Errorf("EndpointSlices name %v, the API servers are at %v", got, want)
	}
}

func TestServiceOfTheAPI(t *testing.T) {
	s := behaviour(t, "[sig-network] API Server should provide secure master service")
	if got := s.kubectl("get", "service", "kubernetes", "--namespace=default", "-o", "jsonpath={.spec.ports[*].name} {.spec.ports[*].port}"); got != "https 443" {
		t.Errorf("the ports of the Service kubernetes are %s", got)
	}
	if got := s.inPod(s.client(), "witness get https://kubernetes.default/readyz"); got != "ok" {
		t.Errorf("the API answers a pod %q", got)
	}
}

func TestEndpointsFollowPods(t *testing.T) {
	s := behaviour(t, "[sig-network] EndpointsController should create Endpoints for Pods matching a Service")
	s.service("web", "{selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}")
	one, two := s.server("one"), s.server("two")
	s.eventually("Endpoints of both pods", func() (any, bool) {
		got, want := s.endpointsOf(s.Namespace, "web"), []string{at(one, tcpPort), at(two, tcpPort)}
		slices.Sort(want)
		return got, slices.Equal(got, want)
	})
	s.kubectl("delete", "service", "web")
	s.eventually("the Endpoints to go with their Service", func() (any, bool) {
		out, err := s.tryKubectl("", "get", "endpoints", "web", "--ignore-not-found", "-o", "name")
		return out, err == nil && out == ""
	})
}

func TestSlicesFollowPods(t *testing.T) {
	s := behaviour(t, "[sig-network] EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service")
	one := s.server("one", func(p *v1.Pod) {
		p.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: "named", ContainerPort: tcpPort}}
	})
	two := s.server("two", func(p *v1.Pod) {
		p.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: "named", ContainerPort: otherPort}}
	})
	s.service("all", "{selector: {app: server}, ports: [{port: 80, targetPort: named}]}")
	s.leadsTo("all", at(one, tcpPort), at(two, otherPort))
	s.service("first", "{selector: {who: one}, ports: [{name: a, port: 80, targetPort: named}, {name: b, port: 81, targetPort: 9090}]}")
	s.leadsTo("first", at(one, tcpPort), at(one, otherPort))
	list := must[*discoveryv1.EndpointSliceList](s)(s.Client.DiscoveryV1().EndpointSlices(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=first"}))
	e := list.Items[0].Endpoints[0]
	if len(list.Items) != 1 || e.TargetRef == nil || e.TargetRef.UID != one.UID || e.NodeName == nil || *e.NodeName != one.Spec.NodeName {
		t.Errorf("%d slices, and the endpoint is of %v on %v, want pod %s", len(list.Items), e.TargetRef, e.NodeName, one.UID)
	}
	s.kubectl("delete", "service", "all", "first")
	for _, service := range []string{"all", "first"} {
		s.hasNone("endpointslices", discoveryv1.LabelServiceName+"="+service)
	}
}

// slice applies an EndpointSlice of the test's own for a Service.
func (s *space) slice(name, service string, pod *v1.Pod, portName string, port int) {
	s.Helper()
	s.apply(fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %s, labels: {kubernetes.io/service-name: %s, endpointslice.kubernetes.io/managed-by: tests.pilotis.dev}}
addressType: IPv4
endpoints: [{addresses: [%q], conditions: {ready: true}}]
ports: [{name: %s, port: %d}]
`, name, service, pod.Status.PodIP, portName, port))
}

func TestSlicesOfTwoAddresses(t *testing.T) {
	s := behaviour(t, "[sig-network] EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices")
	one, two, client := s.server("one"), s.server("two"), s.client()
	s.service("web", "{ports: [{name: a, port: 80}, {name: b, port: 81}]}")
	s.slice("a", "web", one, "a", tcpPort)
	s.slice("b", "web", two, "b", otherPort)
	s.hears("one", client, "tcp://web:80")
	s.hears("two", client, "tcp://web:81")
}

func TestSlicesOfTwoPorts(t *testing.T) {
	s := behaviour(t, "[sig-network] EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices")
	one, client := s.server("one"), s.client()
	s.service("web", "{ports: [{name: a, port: 80}, {name: b, port: 81}]}")
	s.slice("a", "web", one, "a", tcpPort)
	s.slice("b", "web", one, "b", otherPort)
	for port, behind := range map[int]int{80: tcpPort, 81: otherPort} {
		s.eventually(fmt.Sprintf("port %d to lead to port %d of the pod", port, behind), func() (any, bool) {
			got := s.inPod(client, fmt.Sprintf("witness ask tcp://web:%d", port))
			return got, strings.HasPrefix(got, fmt.Sprintf("one %d ", behind))
		})
	}
}

func TestDeletedEndpointsComeBack(t *testing.T) {
	s := documented(t, "[sig-network] EndpointSlices and Endpoints should be made anew when somebody deletes them")
	s.apply(`
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`)
	const label = "kubernetes.io/service-name=web"
	here := func() {
		t.Helper()
		s.eventually("a slice of the Service", func() (any, bool) {
			names := s.names("endpointslices", label)
			return names, len(names) == 1
		})
		s.shows("web", "endpoints/web", ".metadata.name")
	}
	here()
	s.kubectl("delete", "endpointslices", "-l", label)
	s.kubectl("delete", "endpoints", "web")
	here()
	s.start(s.pod("p", "sleep 1000", func(p *v1.Pod) { p.Labels = map[string]string{"app": "web"} }))
	s.eventually("the pod's address in the slice", func() (any, bool) {
		got := s.readAll("endpointslices", metav1.ListOptions{LabelSelector: label}, ".items[*].endpoints[*].targetRef.name")
		return got, got == "p"
	})
}
