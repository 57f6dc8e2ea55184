package desired

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func service(change ...func(*v1.Service)) *v1.Service {
	s := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: v1.ServiceSpec{
		ClusterIP: "10.96.0.7", ClusterIPs: []string{"10.96.0.7"}, Ports: []v1.ServicePort{{Name: "http", Protocol: v1.ProtocolTCP, Port: 80}}}}
	for _, c := range change {
		c(s)
	}
	return s
}

type state struct {
	address              string
	node                 string
	notReady, notServing bool
	terminating          bool
	zone, hintNode       string
}

func slice(endpoints ...state) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Protocol: ptr.To(v1.ProtocolTCP), Port: ptr.To[int32](8080)}}}
	for _, e := range endpoints {
		ep := discoveryv1.Endpoint{Addresses: []string{e.address}, NodeName: &e.node,
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(!e.notReady && !e.terminating), Serving: ptr.To(!e.notServing), Terminating: &e.terminating}}
		if e.zone != "" || e.hintNode != "" {
			ep.Hints = &discoveryv1.EndpointHints{}
			if e.zone != "" {
				ep.Hints.ForZones = []discoveryv1.ForZone{{Name: e.zone}}
			}
			if e.hintNode != "" {
				ep.Hints.ForNodes = []discoveryv1.ForNode{{Name: e.hintNode}}
			}
		}
		s.Endpoints = append(s.Endpoints, ep)
	}
	return s
}

func TestPorts(t *testing.T) {
	local := func(s *v1.Service) { s.Spec.InternalTrafficPolicy = ptr.To(v1.ServiceInternalTrafficPolicyLocal) }
	tests := []struct {
		name    string
		service *v1.Service
		slice   *discoveryv1.EndpointSlice
		want    string
	}{
		{"ready endpoints serve", service(), slice(state{address: "10.244.0.2", node: "a"}, state{address: "10.244.1.2", node: "b"}),
			"shop/web/tcp/http 10.96.0.7:80 → [10.244.0.2:8080 10.244.1.2:8080]"},
		{"unready ones do not", service(), slice(state{address: "10.244.0.2", notReady: true, notServing: true}), "shop/web/tcp/http 10.96.0.7:80 → []"},
		{"terminating ones serve when nobody else does", service(), slice(state{address: "10.244.0.2", terminating: true}), "shop/web/tcp/http 10.96.0.7:80 → [10.244.0.2:8080]"},
		{"terminating ones rest while others serve", service(), slice(state{address: "10.244.0.2", terminating: true}, state{address: "10.244.0.3"}), "shop/web/tcp/http 10.96.0.7:80 → [10.244.0.3:8080]"},
		{"local policy", service(local), slice(state{address: "10.244.0.2", node: "a"}, state{address: "10.244.1.2", node: "b"}),
			"shop/web/tcp/http 10.96.0.7:80 → [10.244.0.2:8080 10.244.1.2:8080] local [10.244.0.2:8080]"},
		{"hints of this zone", service(), slice(state{address: "10.244.0.2", zone: "east"}, state{address: "10.244.1.2", zone: "west"}), "shop/web/tcp/http 10.96.0.7:80 → [10.244.0.2:8080]"},
		{"hints must be complete", service(), slice(state{address: "10.244.0.2", zone: "east"}, state{address: "10.244.1.2"}), "shop/web/tcp/http 10.96.0.7:80 → [10.244.0.2:8080 10.244.1.2:8080]"},
		{"hints of other zones alone mean everybody", service(), slice(state{address: "10.244.1.2", zone: "west"}), "shop/web/tcp/http 10.96.0.7:80 → [10.244.1.2:8080]"},
		{"hints of this node come first", service(), slice(state{address: "10.244.0.2", zone: "east", hintNode: "a"}, state{address: "10.244.0.3", zone: "east", hintNode: "b"}), "shop/web/tcp/http 10.96.0.7:80 → [10.244.0.2:8080]"},
		{"loopback and link-local endpoints never serve", service(), slice(state{address: "127.0.0.1"}, state{address: "169.254.169.254"}), "shop/web/tcp/http 10.96.0.7:80 → []"},
		{"headless", service(func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", []string{"None"} }), slice(state{address: "10.244.0.2"}), ""},
		{"external name", service(func(s *v1.Service) { s.Spec.Type = v1.ServiceTypeExternalName }), slice(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range Ports(tt.service, []*discoveryv1.EndpointSlice{tt.slice}, v1.IPv4Protocol, Node{Name: "a", Zone: "east"}) {
				got = append(got, p.String())
			}
			if g := strings.Join(got, "\n"); g != tt.want {
				t.Errorf("got  %s\nwant %s", g, tt.want)
			}
		})
	}
}

func TestTrackerReportsWhatChangedOnce(t *testing.T) {
	tracker := NewTracker(v1.IPv4Protocol, Node{Name: "a"})
	tracker.SetService(service())
	tracker.SetSlice(slice(state{address: "10.244.0.2"}))
	if got := tracker.Changes(); len(got) != 1 {
		t.Fatalf("changes %v, want one Service", got)
	}
	if got := tracker.Changes(); len(got) != 0 {
		t.Fatalf("changes %v, want none the second time", got)
	}
	tracker.DeleteSlice(slice())
	for _, ports := range tracker.Changes() {
		if len(ports) != 1 || len(ports[0].Cluster) != 0 {
			t.Errorf("ports %v, want one without endpoints", ports)
		}
	}
}
