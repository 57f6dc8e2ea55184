package protection

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/test/e2e/daemons"
	"pilotis.dev/test/e2e/testcert"
)

// tunnels is a proxy that opens tunnels by HTTP CONNECT (RFC 9110, 9.3.6). For it, the addresses of routes are elsewhere.
type tunnels struct {
	routes map[string]string
	mu     sync.Mutex
	asked  []string // host:port of each tunnel
}

func (p *tunnels) serve(t *testing.T, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			go p.tunnel(conn)
		}
	}()
}

func (p *tunnels) tunnel(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	req, err := http.ReadRequest(reader)
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	behind, err := net.Dial("tcp", p.way(req.RequestURI))
	if err != nil {
		fmt.Fprintf(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer behind.Close()
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(behind, reader) // either end may hang up
		behind.Close()
	}()
	_, _ = io.Copy(conn, behind)
}

// way is where the address leads that a client asks for.
func (p *tunnels) way(address string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, address)
	if elsewhere, ok := p.routes[address]; ok {
		return elsewhere
	}
	return address
}

func (p *tunnels) route(address, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes[address] = strings.TrimPrefix(to, "https://")
}

func (p *tunnels) to() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// socket is a proxy at a Unix socket, and what of an EgressSelectorConfiguration leads there.
func socket(t *testing.T, name string) (*tunnels, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "egress-") // a socket's path has at most 107 characters
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, name)
	l, err := net.Listen("unix", path)
	must(t, err)
	p := &tunnels{routes: map[string]string{}}
	p.serve(t, l)
	return p, fmt.Sprintf("- {name: %s, connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: %s}}}}\n", name, path)
}

// port is socket at a TCP port, with certificates on both sides.
func port(t *testing.T, name string) (*tunnels, string) {
	t.Helper()
	authority, certificate, key, err := testcert.Serving("127.0.0.1")
	must(t, err)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	must(t, err)
	clientCert, clientKey, err := certificates.Sign("ca", "egress")
	must(t, err)
	ca, err := os.ReadFile(certificates.At("ca.crt"))
	must(t, err)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})
	must(t, err)
	p := &tunnels{routes: map[string]string{}}
	p.serve(t, l)
	return p, fmt.Sprintf("- {name: %s, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: 'https://%s', tlsConfig: {caBundle: %s, clientCert: %s, clientKey: %s}}}}}\n",
		name, l.Addr(), temporary(t, "ca.crt", authority), temporary(t, "client.crt", string(clientCert)), temporary(t, "client.key", string(clientKey)))
}

func egress(t *testing.T, selections ...string) string {
	t.Helper()
	return "--egress-selector-config-file=" + temporary(t, "egress.yaml",
		"apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\negressSelections:\n"+strings.Join(selections, ""))
}

// Etcd, webhooks by URL and what is in the cluster (kubelets, pods, webhooks by Service, aggregated APIs) are each reached by the proxy of
// their selection, and what a literal address may not be is refused all the same.
func TestEgressSelector(t *testing.T) {
	t.Parallel()
	etcd, etcdSelection := socket(t, "etcd")
	control, controlSelection := port(t, "controlplane")
	cluster, clusterSelection := socket(t, "cluster")
	s := serve(t, "--disable-admission-plugins=ServiceAccount", egress(t, etcdSelection, controlSelection, clusterSelection))
	if asked, want := etcd.to(), strings.TrimPrefix(etcdURL, "http://"); !slices.Contains(asked, want) {
		t.Errorf("etcd's proxy was asked for %v, not for %s", asked, want)
	}
	if asked := append(control.to(), cluster.to()...); len(asked) > 0 {
		t.Errorf("the other proxies were asked for %v by the start alone", asked)
	}

	body := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "reached "+r.URL.Path) }
	kubelet := listen(t, http.HandlerFunc(body))
	cluster.route("203.0.113.7:10250", kubelet.url)
	cluster.route("203.0.113.8:443", kubelet.url)
	for name, address := range map[string]string{"far": "203.0.113.7", "here": "127.0.0.1"} {
		node, err := s.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(t, err)
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
		_, err = s.client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{})
		must(t, err)
	}
	pods := s.client.CoreV1().Pods("default")
	pod, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{
		NodeName: "far", Containers: []corev1.Container{{Name: "c", Image: "example.org/i:1"}},
	}}, metav1.CreateOptions{})
	must(t, err)
	pod.Status.Phase, pod.Status.PodIPs, pod.Status.PodIP = corev1.PodRunning, []corev1.PodIP{{IP: "203.0.113.8"}}, "203.0.113.8"
	_, err = pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	must(t, err)
	for path, want := range map[string]string{
		"/api/v1/nodes/far/proxy/stats":                              "reached /stats",
		"/api/v1/namespaces/default/pods/p/log":                      "reached /containerLogs/default/p/c",
		"/api/v1/namespaces/default/pods/https:p:443/proxy/some/way": "reached /some/way",
	} {
		if got := get(t, s.admin, path); got.code != 200 || got.body != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if got := get(t, s.admin, "/api/v1/nodes/here/proxy/stats"); got.code != 400 {
		t.Errorf("a node at 127.0.0.1: %v", got)
	}
	if asked := cluster.to(); !slices.Contains(asked, "203.0.113.7:10250") || !slices.Contains(asked, "203.0.113.8:443") {
		t.Errorf("the cluster's proxy was asked for %v", asked)
	}

	service, err := s.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "hook"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
	}, metav1.CreateOptions{})
	must(t, err)
	refusedBy(t, s, control, "hook.example.com", "hook.example.com:443", `"url":"https://hook.example.com/judge"`)
	refusedBy(t, s, cluster, "hook.default.svc", service.Spec.ClusterIP+":443", `"service":{"namespace":"default","name":"hook","path":"/judge"}`)

	service, err = s.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "extension"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
	}, metav1.CreateOptions{})
	must(t, err)
	cluster.route(service.Spec.ClusterIP+":443", kubelet.url)
	if got := send(t, s.admin, "POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", `{"metadata":{"name":"extension-1","labels":{"kubernetes.io/service-name":"extension"}},
		"addressType":"IPv4","endpoints":[{"addresses":["203.0.113.9"]}],"ports":[{"port":443}]}`); got.code != 201 {
		t.Fatal(got)
	}
	if got := send(t, s.admin, "POST", "/apis/apiregistration.k8s.io/v1/apiservices", `{"metadata":{"name":"v1.egress.example.com"},"spec":{"group":"egress.example.com","version":"v1",
		"groupPriorityMinimum":100,"versionPriority":100,"insecureSkipTLSVerify":true,"service":{"namespace":"default","name":"extension"}}}`); got.code != 201 {
		t.Fatal(got)
	}
	daemons.Eventually(t, "the aggregated API to answer", func() (string, bool) {
		got := get(t, s.admin, "/apis/egress.example.com/v1/things")
		return got.String(), got.body == "reached /apis/egress.example.com/v1/things"
	})
	if asked := cluster.to(); !slices.Contains(asked, service.Spec.ClusterIP+":443") {
		t.Errorf("the cluster's proxy was asked for %v", asked)
	}
}

// refusedBy sets a webhook up behind a proxy, at the address that the proxy is asked for, and waits until it refuses.
func refusedBy(t *testing.T, s *server, by *tunnels, name, address, where string) {
	t.Helper()
	authority, certificate, key, err := testcert.Serving(name)
	must(t, err)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	must(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	must(t, err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review map[string]any
		_ = json.NewDecoder(r.Body).Decode(&review)
		request, _ := review["request"].(map[string]any)
		review["response"] = map[string]any{"uid": request["uid"], "allowed": false, "status": map[string]any{"message": "refused by " + name}}
		_ = json.NewEncoder(w).Encode(review)
	})}
	go func() { _ = srv.Serve(l) }() // ends with Close
	t.Cleanup(func() { srv.Close() })
	by.route(address, l.Addr().String())
	body := fmt.Sprintf(`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":%q},"webhooks":[{"name":"judge.example.com",
		"failurePolicy":"Ignore","sideEffects":"None","admissionReviewVersions":["v1"],"clientConfig":{%s,"caBundle":%q},
		"rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}],"objectSelector":{"matchLabels":{"by":%q}}}]}`,
		name, where, encodeStd(authority), name)
	if got := send(t, s.admin, "POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", body); got.code != 201 {
		t.Fatal(got)
	}
	daemons.Eventually(t, "the webhook "+name+" to refuse", func() (string, bool) {
		got := send(t, s.admin, "POST", "/api/v1/namespaces/default/configmaps?dryRun=All", fmt.Sprintf(`{"metadata":{"generateName":"c-","labels":{"by":%q}}}`, name))
		return got.String(), got.code == 403 || got.code == 400 && strings.Contains(got.body, "refused by "+name)
	})
	if !slices.Contains(by.to(), address) {
		t.Errorf("the proxy was asked for %v, not for %s", by.to(), address)
	}
}

// Direct is the way without a file: kubelets are reached, this machine's own addresses are not.
func TestEgressDirect(t *testing.T) {
	t.Parallel()
	s := serve(t, egress(t, "- {name: cluster, connection: {proxyProtocol: Direct}}\n"))
	node, err := s.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here"}}, metav1.CreateOptions{})
	must(t, err)
	// A name is looked at when it is dialed only.
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "localhost"}}
	_, err = s.client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{})
	must(t, err)
	if got := get(t, s.admin, "/api/v1/nodes/here/proxy/stats"); got.code == 200 || !strings.Contains(got.body, "not reachable through the proxy") {
		t.Errorf("a node called localhost: %v", got)
	}
}

// A file that cannot be meant ends the server with its flag and the reason.
func TestEgressRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"- {name: kubelets, connection: {proxyProtocol: Direct}}\n":     "kubelets",
		"- {name: cluster, connection: {proxyProtocol: HTTPConnect}}\n": "transport",
		"- {name: cluster, link: {proxyProtocol: Direct}}\n":            "link",
	} {
		s := start(t, egress(t, text))
		<-s.Ended()
		if log := string(s.LastLines(3)); !strings.Contains(log, "--egress-selector-config-file=") || !strings.Contains(log, want) {
			t.Errorf("%s: %s", text, log)
		}
	}
}
