package server

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/cmd/kube-apiserver/resources/serviceip"
)

// A service gets an address and ports, keeps them over updates that leave them out, and gives them back.
func TestServiceAddresses(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	services, ctx := s.client.CoreV1().Services(ns), t.Context()
	svc := service("s")
	svc.Spec.Type = corev1.ServiceTypeNodePort
	got, err := services.Create(ctx, svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ip, port := got.Spec.ClusterIP, got.Spec.Ports[0].NodePort
	if !strings.HasPrefix(ip, "10.96.") || !slices.Equal(got.Spec.ClusterIPs, []string{ip}) || port < 30000 || port > 32767 {
		t.Fatalf("address %q %v, port %d", ip, got.Spec.ClusterIPs, port)
	}
	if !slices.Equal(got.Spec.IPFamilies, []corev1.IPFamily{corev1.IPv4Protocol}) || *got.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
		t.Errorf("families %v, policy %v", got.Spec.IPFamilies, *got.Spec.IPFamilyPolicy)
	}
	booked, err := s.client.NetworkingV1().IPAddresses().Get(ctx, ip, metav1.GetOptions{})
	if err != nil || booked.Spec.ParentRef.Name != "s" || booked.Spec.ParentRef.Namespace != ns {
		t.Errorf("booked: %+v %v", booked, err)
	}

	replace := service("s") // the manifest it was made of
	replace.Spec.Type = corev1.ServiceTypeNodePort
	replace.ResourceVersion = got.ResourceVersion
	if got, err = services.Update(ctx, replace, metav1.UpdateOptions{}); err != nil || got.Spec.ClusterIP != ip || got.Spec.Ports[0].NodePort != port {
		t.Fatalf("after a replacement: %+v %v", got.Spec, err)
	}

	taken := service("other")
	taken.Spec.ClusterIP = ip
	_, err = services.Create(ctx, taken, metav1.CreateOptions{})
	mustBe(t, "a taken address", err, apierrors.IsInvalid)
	taken.Spec.ClusterIP, taken.Spec.Type, taken.Spec.Ports[0].NodePort = "", corev1.ServiceTypeNodePort, port
	_, err = services.Create(ctx, taken, metav1.CreateOptions{})
	mustBe(t, "a taken port", err, apierrors.IsInvalid)
	taken.Spec.Ports[0].NodePort = 80
	_, err = services.Create(ctx, taken, metav1.CreateOptions{})
	mustBe(t, "a port out of range", err, apierrors.IsInvalid)
	taken.Spec.Ports[0].NodePort, taken.Spec.ClusterIP = 0, "10.97.0.1"
	_, err = services.Create(ctx, taken, metav1.CreateOptions{})
	mustBe(t, "an address out of range", err, apierrors.IsInvalid)

	if got, err = services.Patch(ctx, "s", types.MergePatchType, []byte(`{"spec":{"type":"ExternalName","externalName":"example.com"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if got.Spec.ClusterIP != "" || len(got.Spec.ClusterIPs) > 0 || got.Spec.Ports[0].NodePort != 0 {
		t.Errorf("an ExternalName service keeps %v and %d", got.Spec.ClusterIPs, got.Spec.Ports[0].NodePort)
	}
	_, err = s.client.NetworkingV1().IPAddresses().Get(ctx, ip, metav1.GetOptions{})
	mustBe(t, "the freed address", err, apierrors.IsNotFound)

	again := service("again")
	again.Spec.ClusterIP, again.Spec.Type, again.Spec.Ports[0].NodePort = ip, corev1.ServiceTypeNodePort, port
	if _, err = services.Create(ctx, again, metav1.CreateOptions{}); err != nil {
		t.Errorf("the freed address and port: %v", err)
	}
	if err := services.Delete(ctx, "again", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = s.client.NetworkingV1().IPAddresses().Get(ctx, ip, metav1.GetOptions{})
	mustBe(t, "the address of a deleted service", err, apierrors.IsNotFound)
}

// What a client says wrongly of addresses and ports is told as it said it, and nothing is taken for it.
func TestServiceAddressFaults(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	services, ctx := s.client.CoreV1().Services(ns), t.Context()
	const ip, another, port = "10.96.3.50", "10.96.3.51", 30998
	for _, tt := range []struct {
		name string
		spec func(*corev1.ServiceSpec)
		want string
	}{
		{"headless-with-node-ports", func(s *corev1.ServiceSpec) { s.Type, s.ClusterIP = corev1.ServiceTypeNodePort, "None" },
			"spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"},
		{"headless-and-balanced", func(s *corev1.ServiceSpec) { s.Type, s.ClusterIP = corev1.ServiceTypeLoadBalancer, "None" },
			"spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"},
		{"contradiction", func(s *corev1.ServiceSpec) { s.ClusterIP, s.ClusterIPs = another, []string{ip} },
			"spec.clusterIPs: Invalid value: [\"10.96.3.50\"]: first value must match `clusterIP`"},
		{"many-without-one", func(s *corev1.ServiceSpec) { s.ClusterIPs = []string{ip} },
			"spec.clusterIPs: Invalid value: [\"10.96.3.50\"]: first value must match `clusterIP`"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := service(tt.name)
			svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, port
			tt.spec(&svc.Spec)
			_, err := services.Create(ctx, svc, metav1.CreateOptions{})
			mustBe(t, "creation", err, apierrors.IsInvalid)
			if err == nil || !strings.HasSuffix(err.Error(), "is invalid: "+tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	svc := service("good")
	svc.Spec.Type, svc.Spec.ClusterIP, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, ip, port
	if _, err := services.Create(ctx, svc, metav1.CreateOptions{}); err != nil {
		t.Errorf("what was refused is not free: %v", err)
	}
	svc.Name, svc.Spec.ClusterIP = "clash", ""
	_, err := services.Create(ctx, svc, metav1.CreateOptions{})
	if want := "spec.ports[0].nodePort: Invalid value: 30998: provided port is already allocated"; err == nil || !strings.HasSuffix(err.Error(), "is invalid: "+want) {
		t.Errorf("a taken port: got %v, want %s", err, want)
	}
	svc.Name, svc.Spec.Ports[0].NodePort = "second-port", port-1
	svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81, NodePort: port})
	_, err = services.Create(ctx, svc, metav1.CreateOptions{})
	if want := "spec.ports[1].nodePort: Invalid value: 30998: provided port is already allocated"; err == nil || !strings.HasSuffix(err.Error(), "is invalid: "+want) {
		t.Errorf("a taken second port: got %v, want %s", err, want)
	}
	headless := service("headless")
	headless.Spec.ClusterIP = "None"
	if _, err := services.Create(ctx, headless, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = services.Patch(ctx, "headless", types.MergePatchType, []byte(`{"spec":{"type":"NodePort"}}`), metav1.PatchOptions{})
	mustBe(t, "node ports for a headless service", err, apierrors.IsInvalid)
}

// Who turns a service into an alias clears the address and need not know of the families that came with it.
func TestServiceBecomesAnAlias(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	services, ctx := s.client.CoreV1().Services(ns), t.Context()
	if _, err := services.Create(ctx, service("s"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"spec":{"type":"ExternalName","externalName":"example.com","clusterIP":"","clusterIPs":null}}`)
	got, err := services.Patch(ctx, "s", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Spec.IPFamilies) > 0 || got.Spec.IPFamilyPolicy != nil {
		t.Errorf("an alias keeps families %v and policy %v", got.Spec.IPFamilies, got.Spec.IPFamilyPolicy)
	}
}

// A dry run books nothing.
func TestServiceDryRun(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	svc := service("s")
	svc.Spec.ClusterIP = "10.96.7.7"
	for range 2 {
		if _, err := s.client.CoreV1().Services(ns).Create(t.Context(), svc, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.client.NetworkingV1().IPAddresses().Get(t.Context(), "10.96.7.7", metav1.GetOptions{})
	mustBe(t, "address after a dry run", err, apierrors.IsNotFound)
}

// TCP and UDP of one port share a node port; DNS behind a NodePort needs it.
func TestSharedNodePort(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	svc := service("dns")
	svc.Spec.Type = corev1.ServiceTypeNodePort
	svc.Spec.Ports = []corev1.ServicePort{
		{Name: "udp", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "tcp", Port: 53, Protocol: corev1.ProtocolTCP}, {Name: "metrics", Port: 9153},
	}
	got, err := s.client.CoreV1().Services(ns).Create(t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := got.Spec.Ports
	if p[0].NodePort == 0 || p[0].NodePort != p[1].NodePort || p[2].NodePort == 0 || p[2].NodePort == p[0].NodePort {
		t.Errorf("node ports %d %d %d", p[0].NodePort, p[1].NodePort, p[2].NodePort)
	}
}

// A port without a number shares the one that was chosen for another protocol, when the service is made; a port that
// comes later has a number of its own.
func TestSharedNodePortOfChoice(t *testing.T) {
	s := serve(t)
	services, ctx := s.client.CoreV1().Services(s.namespace(t)), t.Context()
	svc := service("dns")
	svc.Spec.Type = corev1.ServiceTypeNodePort
	svc.Spec.Ports = []corev1.ServicePort{
		{Name: "udp", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "tcp", Port: 53, Protocol: corev1.ProtocolTCP, NodePort: 30953},
	}
	got, err := services.Create(ctx, svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Spec.Ports; p[0].NodePort != 30953 || p[1].NodePort != 30953 {
		t.Errorf("node ports %d %d", p[0].NodePort, p[1].NodePort)
	}
	got.Spec.Ports = append(got.Spec.Ports, corev1.ServicePort{Name: "sctp", Port: 53, Protocol: corev1.ProtocolSCTP})
	if got, err = services.Update(ctx, got, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if p := got.Spec.Ports[2]; p.NodePort == 0 || p.NodePort == 30953 {
		t.Errorf("node port of an added port: %d", p.NodePort)
	}
}

// A balancer's health check keeps its port, and a service that needs no balancer any more forgets its addresses.
func TestServiceOfABalancer(t *testing.T) {
	s := serve(t)
	services, ctx := s.client.CoreV1().Services(s.namespace(t)), t.Context()
	svc := service("s")
	svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
	got, err := services.Create(ctx, svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	patch := `{"spec":{"healthCheckNodePort":` + itoa(int(got.Spec.HealthCheckNodePort)+1) + `}}`
	_, err = services.Patch(ctx, "s", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	mustBe(t, "another port for health checks", err, apierrors.IsInvalid)
	if err != nil && !strings.Contains(err.Error(), "cannot change healthCheckNodePort on loadBalancer service with externalTraffic=Local during update") {
		t.Errorf("another port for health checks: %v", err)
	}
	got.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}}
	if got, err = services.UpdateStatus(ctx, got, metav1.UpdateOptions{}); err != nil || len(got.Status.LoadBalancer.Ingress) != 1 {
		t.Fatalf("status: %+v %v", got.Status, err)
	}
	if got, err = services.Patch(ctx, "s", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil || len(got.Status.LoadBalancer.Ingress) != 1 {
		t.Errorf("after another update: %+v %v", got.Status, err)
	}
	if got, err = services.Patch(ctx, "s", types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{}); err != nil || len(got.Status.LoadBalancer.Ingress) != 0 {
		t.Errorf("without a balancer: %+v %v", got.Status, err)
	}
}

// A lost booking of an address comes back; one without a service goes when it had time to find its service.
func TestRepairOfAddresses(t *testing.T) {
	s := serve(t)
	ns, ctx := s.namespace(t), t.Context()
	addresses := s.client.NetworkingV1().IPAddresses()
	svc, err := s.client.CoreV1().Services(ns).Create(ctx, service("s"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := addresses.Delete(ctx, svc.Spec.ClusterIP, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	lost := service("lost")
	lost.Namespace = ns
	orphan := serviceip.AddressFor(lost, netip.MustParseAddr("10.96.4.4"))
	if _, err := addresses.Create(ctx, orphan, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := repairAddresses(ctx, s.client, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{svc.Spec.ClusterIP, orphan.Name} {
		if _, err := addresses.Get(ctx, name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
	if err := repairAddresses(ctx, s.client, time.Now().Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err = addresses.Get(ctx, orphan.Name, metav1.GetOptions{})
	mustBe(t, "address of no service", err, apierrors.IsNotFound)
}

// The families of a service are found, and contradictions refused, on a cluster of one family.
func TestServiceFamilies(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	pol := func(p corev1.IPFamilyPolicy) *corev1.IPFamilyPolicy { return &p }
	for _, tt := range []struct {
		name     string
		spec     func(*corev1.ServiceSpec)
		invalid  bool
		families []corev1.IPFamily
	}{
		{name: "preferred", spec: func(s *corev1.ServiceSpec) { s.IPFamilyPolicy = pol(corev1.IPFamilyPolicyPreferDualStack) }, families: []corev1.IPFamily{"IPv4"}},
		{name: "required", spec: func(s *corev1.ServiceSpec) { s.IPFamilyPolicy = pol(corev1.IPFamilyPolicyRequireDualStack) }, invalid: true},
		{name: "missing-family", spec: func(s *corev1.ServiceSpec) { s.IPFamilies = []corev1.IPFamily{"IPv6"} }, invalid: true},
		{name: "headless", spec: func(s *corev1.ServiceSpec) { s.ClusterIP = "None" }, families: []corev1.IPFamily{"IPv4"}},
		{name: "headless-without-selector", spec: func(s *corev1.ServiceSpec) { s.ClusterIP, s.Selector = "None", nil }, families: []corev1.IPFamily{"IPv4", "IPv6"}},
		{name: "contradiction", spec: func(s *corev1.ServiceSpec) { s.ClusterIP, s.IPFamilies = "10.96.9.9", []corev1.IPFamily{"IPv6"} }, invalid: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := service(tt.name)
			tt.spec(&svc.Spec)
			got, err := s.client.CoreV1().Services(ns).Create(t.Context(), svc, metav1.CreateOptions{})
			if tt.invalid {
				mustBe(t, "creation", err, apierrors.IsInvalid)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Spec.IPFamilies, tt.families) {
				t.Errorf("families %v, want %v", got.Spec.IPFamilies, tt.families)
			}
		})
	}
}

// Pods find the API by the service that the server keeps for itself.
func TestKubernetesService(t *testing.T) {
	s := serve(t)
	ctx := t.Context()
	svc, err := s.client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil || svc.Spec.ClusterIP != "10.96.0.1" || svc.Spec.Ports[0].Port != 443 {
		t.Fatalf("service: %+v %v", svc, err)
	}
	slice, err := s.client.DiscoveryV1().EndpointSlices("default").Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil || len(slice.Endpoints) != 1 || slice.Endpoints[0].Addresses[0] != "192.0.2.10" {
		t.Errorf("slice: %+v %v", slice, err)
	}
	cidr, err := s.client.NetworkingV1().ServiceCIDRs().Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil || !slices.Equal(cidr.Spec.CIDRs, []string{"10.96.0.0/16"}) {
		t.Errorf("range: %+v %v", cidr, err)
	}
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		if _, err := s.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
	info, err := s.client.CoreV1().ConfigMaps("kube-system").Get(ctx, "extension-apiserver-authentication", metav1.GetOptions{})
	if err != nil || !strings.Contains(info.Data["client-ca-file"], "BEGIN CERTIFICATE") {
		t.Errorf("extension-apiserver-authentication: %v %v", info, err)
	}
}

// The service by which pods find the API is made anew when it is deleted.
func TestKubernetesServiceComesBack(t *testing.T) {
	s := serve(t)
	services, ctx := s.client.CoreV1().Services("default"), t.Context()
	was, err := services.Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := services.Delete(ctx, "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	k := &kubernetesService{client: s.client, serviceIPs: []net.IP{net.ParseIP("10.96.0.1")}, port: was.Spec.Ports[0].TargetPort.IntValue()}
	if err := k.keep(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := services.Get(ctx, "kubernetes", metav1.GetOptions{}); err != nil || got.Spec.ClusterIP != "10.96.0.1" || got.UID == was.UID {
		t.Errorf("after its deletion: %+v %v", got, err)
	}
}
