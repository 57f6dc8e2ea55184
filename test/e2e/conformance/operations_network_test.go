package conformance

import (
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

func TestEndpointSliceOperations(t *testing.T) {
	s := behaviour(t, "[sig-network] EndpointSlice should support creating EndpointSlice API operations")
	s.supportsOperations(operations{resource: "endpointslices", manifest: `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
addressType: IPv4
endpoints: [{addresses: [10.1.2.3]}]
ports: [{name: http, port: 80}]
`})
}

func TestIngressOperations(t *testing.T) {
	s := behaviour(t, "[sig-network] Ingress API should support creating Ingress API operations")
	s.supportsOperations(operations{resource: "ingresses", subresources: []string{"status"}, manifest: `
apiVersion: networking.k8s.io/v1
kind: Ingress
spec: {ingressClassName: nowhere, defaultBackend: {service: {name: web, port: {number: 80}}}}
`, status: `{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"}]}}`})
}

func TestServiceCIDROperations(t *testing.T) {
	s := behaviour(t, "[sig-network] ServiceCIDR and IPAddress API should support ServiceCIDR API operations")
	// A range of the family that the cluster does not use: no Service takes an address of it while the test runs.
	s.supportsOperations(operations{resource: "servicecidrs", clusterWide: true, subresources: []string{"status"}, manifest: `
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
spec: {cidrs: ["` + s.unusedServiceRange() + `"]}
`, status: `{"conditions":[{"type":"Tested","status":"True","reason":"Tested","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`})
}

// unusedServiceRange is a range of service addresses of the family that the API's own Service has not.
func (s *space) unusedServiceRange() string {
	s.Helper()
	api := must[*v1.Service](s)(s.Client.CoreV1().Services("default").Get(s.Context(), "kubernetes", metav1.GetOptions{}))
	if slices.Contains(api.Spec.IPFamilies, v1.IPv4Protocol) {
		return "fd00:113::/112"
	}
	return "203.0.113.0/24"
}

func TestLifeOfEndpoints(t *testing.T) {
	s := behaviour(t, "[sig-network] Endpoints should test the lifecycle of an Endpoint")
	client := s.Client.CoreV1().Endpoints(s.Namespace)
	ours := metav1.ListOptions{LabelSelector: "of=ours"}
	events := must[watch.Interface](s)(client.Watch(s.Context(), ours))
	defer events.Stop()
	made := must[*v1.Endpoints](s)(client.Create(s.Context(), &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "e", Labels: map[string]string{"of": "ours"}},
		Subsets: []v1.EndpointSubset{{Addresses: []v1.EndpointAddress{{IP: "10.1.2.3"}}, Ports: []v1.EndpointPort{{Name: "http", Port: 80, Protocol: v1.ProtocolTCP}}}}}, metav1.CreateOptions{}))
	s.expects(events, watch.Added)
	made.Labels["updated"] = "yes"
	must[*v1.Endpoints](s)(client.Update(s.Context(), made, metav1.UpdateOptions{}))
	if o := s.expects(events, watch.Modified); o.GetLabels()["updated"] != "yes" {
		t.Errorf("the updated labels are %v", o.GetLabels())
	}
	must[*v1.Endpoints](s)(client.Patch(s.Context(), "e", types.StrategicMergePatchType, []byte(`{"subsets":[{"addresses":[{"ip":"10.3.2.1"}],"ports":[{"name":"other","port":8080}]}]}`), metav1.PatchOptions{}))
	s.expects(events, watch.Modified)
	got := must[*v1.Endpoints](s)(client.Get(s.Context(), "e", metav1.GetOptions{}))
	if len(got.Subsets) != 1 || got.Subsets[0].Addresses[0].IP != "10.3.2.1" || got.Subsets[0].Ports[0].Port != 8080 {
		t.Errorf("the patched subsets are %v", got.Subsets)
	}
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, ours); err != nil {
		t.Fatal(err)
	}
	s.expects(events, watch.Deleted)
}

func TestMirroredEndpoints(t *testing.T) {
	s := behaviour(t, "[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete")
	s.create(s.resource(coreV1("services"), false), `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80, protocol: TCP}]}
`)
	client := s.Client.CoreV1().Endpoints(s.Namespace)
	of := func(ip string) []v1.EndpointSubset {
		return []v1.EndpointSubset{{Addresses: []v1.EndpointAddress{{IP: ip}}, Ports: []v1.EndpointPort{{Name: "http", Port: 80, Protocol: v1.ProtocolTCP}}}}
	}
	mirrors := func(want ...string) {
		t.Helper()
		s.eventually("a mirror of the endpoints", func() (any, bool) {
			list, err := s.Client.DiscoveryV1().EndpointSlices(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web," + discoveryv1.LabelManagedBy + "=endpointslicemirroring-controller.k8s.io"})
			if err != nil {
				return err, false
			}
			var addresses []string
			for _, slice := range list.Items {
				for _, e := range slice.Endpoints {
					addresses = append(addresses, e.Addresses...)
				}
				if len(slice.Ports) != 1 || *slice.Ports[0].Port != 80 {
					return slice.Ports, false
				}
			}
			return addresses, slices.Equal(addresses, want)
		})
	}
	made := must[*v1.Endpoints](s)(client.Create(s.Context(), &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Subsets: of("10.1.2.3")}, metav1.CreateOptions{}))
	mirrors("10.1.2.3")
	made.Subsets = of("10.3.2.1")
	must[*v1.Endpoints](s)(client.Update(s.Context(), made, metav1.UpdateOptions{}))
	mirrors("10.3.2.1")
	if err := client.Delete(s.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	mirrors()
}

func TestServiceStatus(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should complete a service status lifecycle")
	client := s.Client.CoreV1().Services(s.Namespace)
	s.create(s.resource(coreV1("services"), false), `
apiVersion: v1
kind: Service
metadata: {name: web, labels: {of: ours}}
spec: {type: LoadBalancer, loadBalancerClass: nowhere.example.com/none, ports: [{name: http, port: 80}]}
`)
	if got := must[*v1.ServiceList](s)(s.Client.CoreV1().Services("").List(s.Context(), metav1.ListOptions{LabelSelector: "of=ours", FieldSelector: "metadata.namespace=" + s.Namespace})); len(got.Items) != 1 {
		t.Errorf("a list over all namespaces gives %d Services of one", len(got.Items))
	}
	if status := s.kubectl("get", "service", "web", "--subresource=status", "-o", "jsonpath={.status.loadBalancer.ingress}"); status != "" {
		t.Errorf("a new Service has the status %s", status)
	}
	patched := must[*v1.Service](s)(client.Patch(s.Context(), "web", types.MergePatchType, []byte(`{"metadata":{"annotations":{"patched":"yes"}},"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"}]}}}`), metav1.PatchOptions{}, "status"))
	if len(patched.Status.LoadBalancer.Ingress) != 1 || patched.Status.LoadBalancer.Ingress[0].IP != "203.0.113.1" || patched.Annotations["patched"] != "yes" {
		t.Errorf("the patched Service has the status %v and the annotations %v", patched.Status, patched.Annotations)
	}
	s.eventually("an update of the status without conflict", func() (any, bool) {
		now := must[*v1.Service](s)(client.Get(s.Context(), "web", metav1.GetOptions{}))
		now.Status.Conditions = append(now.Status.Conditions, metav1.Condition{Type: "Updated", Status: metav1.ConditionTrue, Reason: "E2E", Message: "set by a test", LastTransitionTime: metav1.Now()})
		updated, err := client.UpdateStatus(s.Context(), now, metav1.UpdateOptions{})
		return err, err == nil && slices.ContainsFunc(updated.Status.Conditions, func(c metav1.Condition) bool { return c.Type == "Updated" })
	})
	if again := must[*v1.Service](s)(client.Patch(s.Context(), "web", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"patched":"yes"}}}`), metav1.PatchOptions{})); again.Labels["patched"] != "yes" || len(again.Status.Conditions) != 1 {
		t.Errorf("the patched Service has the labels %v and the status %v", again.Labels, again.Status)
	}
	if err := s.resource(coreV1("services"), false).DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "of=ours"}); err != nil {
		t.Fatal(err)
	}
	s.hasNone("services", "of=ours")
}

func TestServiceOfTheAPIAmongAll(t *testing.T) {
	s := behaviour(t, "[sig-network] Services should find a service from listing all namespaces")
	list := must[*v1.ServiceList](s)(s.Client.CoreV1().Services("").List(s.Context(), metav1.ListOptions{}))
	if !slices.ContainsFunc(list.Items, func(o v1.Service) bool { return o.Name == "kubernetes" && o.Namespace == "default" }) {
		t.Error("a list over all namespaces lacks the Service kubernetes of namespace default")
	}
}
