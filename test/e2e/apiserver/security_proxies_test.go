package apiserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/test/e2e/daemons"
)

// aggregate lets the backend serve a group of the API, and waits until the API server passes requests on to it.
func (s *server) aggregate(t *testing.T, group string, b *backend) {
	t.Helper()
	ns := s.namespace(t)
	// A name that means loopback: cluster IPs need a kube-proxy.
	made(s.client.CoreV1().Services(ns).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "api"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})).or(t)
	services := s.dynamic.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})
	name := "v1." + group
	made(services.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group": group, "version": "v1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100), "insecureSkipTLSVerify": true,
			"service": map[string]any{"namespace": ns, "name": "api", "port": int64(b.port)},
		},
	}}, metav1.CreateOptions{})).or(t)
	t.Cleanup(func() { _ = services.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
	daemons.Eventually(t, name+" to be passed on", func() (string, bool) {
		got, err := callerOf(t, s.admin).send("GET", "/apis/"+group+"/v1/reached", "")
		return fmt.Sprint(got, err), err == nil && slices.Contains(b.paths(), "/apis/"+group+"/v1/reached")
	})
}

// CVE-2018-1002105: when a backend does not upgrade the connection, nothing more of the client goes to it.
func TestFailedUpgradeSmugglesNothing(t *testing.T) {
	t.Parallel()
	unwilling := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "websocket" {
			w.WriteHeader(http.StatusForbidden) // what is refused goes another way to the client than what merely is no upgrade
		}
		_, _ = io.WriteString(w, "{}")
	}
	kubelet, aggregated := shared.kubelet(t, "unwilling", unwilling), newBackend(t, unwilling)
	ns := shared.namespace(t)
	shared.pod(t, ns, "p", "unwilling", nil)
	shared.aggregate(t, "unwilling.example.com", aggregated)
	for path, behind := range map[string]*backend{
		"/apis/unwilling.example.com/v1/things": aggregated, "/api/v1/nodes/unwilling/proxy/things": kubelet, "/api/v1/namespaces/" + ns + "/pods/p/exec?command=id&stdout=true": kubelet,
	} {
		for _, upgrade := range [][]string{toWebSocket, toSPDY} {
			behind.paths()
			conn := connect(t, shared.admin)
			if got := conn.ask(t, "GET", path, upgrade...); got.code == http.StatusSwitchingProtocols {
				t.Fatalf("%s: the connection was upgraded: %v", path, got)
			}
			if asked := behind.paths(); len(asked) == 0 {
				t.Fatalf("%s: the backend was not asked", path)
			}
			_, _ = io.WriteString(conn, "GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Remote-User: system:admin\r\nX-Remote-Group: system:masters\r\n\r\n") // it may be closed
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			_, _ = conn.reader.Peek(1) // the API server may answer, or close
			if slices.Contains(behind.paths(), "/smuggled") {
				t.Errorf("%s: the backend was asked behind the failed upgrade", path)
			}
		}
	}
}

// CVE-2020-8559: a kubelet cannot send the API server, or a client with its credentials, to another address.
func TestKubeletRedirectIsRefused(t *testing.T) {
	t.Parallel()
	target := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") })
	compromised := shared.kubelet(t, "compromised", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL+"/secret", http.StatusTemporaryRedirect)
	})
	ns := shared.namespace(t)
	shared.pod(t, ns, "p", "compromised", nil)
	pod := "/api/v1/namespaces/" + ns + "/pods/p/"
	for _, path := range []string{pod + "exec?command=id&stdout=true", pod + "attach?stdout=true", pod + "portforward?ports=80"} {
		for _, upgrade := range [][]string{toSPDY, toWebSocket, append(slices.Clone(toWebSocket), "Sec-WebSocket-Protocol", "v5.channel.k8s.io")} {
			got := connect(t, shared.admin).ask(t, "GET", path, upgrade...)
			if got.code/100 == 3 || got.header.Get("Location") != "" {
				t.Errorf("%s: the redirect reached the client: %v", path, got)
			}
			if !slices.ContainsFunc(compromised.paths(), func(p string) bool { return strings.Contains(p, ns) }) && got.code != http.StatusSwitchingProtocols {
				t.Errorf("%s: the kubelet was not asked: %v", path, got)
			}
		}
	}
	for _, path := range []string{pod + "log", "/api/v1/nodes/compromised/proxy/pods"} {
		if got := callerOf(t, shared.admin).mustSend(t, "GET", path, ""); strings.Contains(got.body, "secret") && got.code == http.StatusOK {
			t.Errorf("%s: the redirect was followed: %v", path, got)
		}
	}
	if asked := target.paths(); len(asked) > 0 {
		t.Errorf("the redirect was followed to %v", asked)
	}
}

// CVE-2022-3172: an aggregated server cannot send clients, with their credentials, to another address.
func TestAggregatedRedirectIsRefused(t *testing.T) {
	t.Parallel()
	target := newBackend(t, func(http.ResponseWriter, *http.Request) {})
	malicious := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if code, ok := map[string]int{"301": 301, "302": 302, "303": 303, "307": 307, "308": 308}[r.URL.Query().Get("code")]; ok {
			http.Redirect(w, r, target.URL+"/stolen", code)
			return
		}
		_, _ = io.WriteString(w, "{}")
	})
	shared.aggregate(t, "malicious.example.com", malicious)
	for _, code := range []string{"301", "302", "303", "307", "308"} {
		path := "/apis/malicious.example.com/v1/things?code=" + code
		if got := callerOf(t, shared.admin).mustSend(t, "GET", path, ""); got.code != http.StatusBadGateway || got.header.Get("Location") != "" {
			t.Errorf("%s: %v, Location %q", code, got, got.header.Get("Location"))
		}
		if got := connect(t, shared.admin).ask(t, "GET", path, toWebSocket...); got.code/100 == 3 || got.header.Get("Location") != "" {
			t.Errorf("%s of an upgrade: %v", code, got)
		}
	}
	if asked := target.paths(); len(asked) > 0 {
		t.Errorf("the redirect was followed to %v", asked)
	}
}

// CVE-2022-3294 and CVE-2020-8562: whoever may write a Node cannot make the API server connect, with the certificate it
// shows kubelets, to ports of its own machine: neither by address nor by a name that means it when it is dialed,
// neither by the kubelet's port nor by another.
func TestNodeProxyKeepsOffThisMachine(t *testing.T) {
	t.Parallel()
	private := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "private") })
	for i, address := range []string{"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "localhost"} {
		kind := corev1.NodeInternalIP
		if address == "localhost" {
			kind = corev1.NodeHostName
		}
		for way, kubeletPort := range map[string]int{"other": 10250, "own": private.port} {
			name := fmt.Sprintf("astray-%s-%d", way, i)
			shared.node(t, name, kubeletPort, corev1.NodeAddress{Type: kind, Address: address})
			for _, id := range []string{fmt.Sprintf("https:%s:%d", name, private.port), name} {
				if id == name && way == "other" {
					continue // nobody is there
				}
				got := callerOf(t, shared.admin).mustSend(t, "GET", "/api/v1/nodes/"+id+"/proxy/", "")
				if got.code < 400 || !strings.Contains(got.body, "address not allowed") {
					t.Errorf("%s by %s: %v", address, id, got)
				}
			}
		}
	}
	if asked := private.paths(); len(asked) > 0 {
		t.Errorf("it was asked for %v", asked)
	}
}

// CVE-2020-8562 of pods: an address is looked at where it is dialed, so it makes no difference when it changes.
func TestPodProxyKeepsOffThisMachine(t *testing.T) {
	t.Parallel()
	private := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "private") })
	ns := shared.namespace(t)
	p := shared.pod(t, ns, "p", "", nil)
	for _, ip := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254"} {
		p.Status.PodIP, p.Status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
		updated, err := shared.client.CoreV1().Pods(ns).UpdateStatus(t.Context(), p, metav1.UpdateOptions{})
		if err != nil {
			continue // the address is refused even before
		}
		p = updated
		got := callerOf(t, shared.admin).mustSend(t, "GET", fmt.Sprintf("/api/v1/namespaces/%s/pods/https:p:%d/proxy/", ns, private.port), "")
		if got.code < 400 || !strings.Contains(got.body, "address not allowed") {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if asked := private.paths(); len(asked) > 0 {
		t.Errorf("it was asked for %v", asked)
	}
}

// A path with ".." does not lead out of what is proxied to, however it is written.
func TestDotsInProxyPaths(t *testing.T) {
	t.Parallel()
	kubelet := shared.kubelet(t, "dotted", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	for _, up := range []string{"..", "%2e%2e", ".%2E", "%2e."} {
		for _, slash := range []string{"/", "%2f", "%5c..%2f"} {
			path := "/api/v1/nodes/dotted/proxy/logs" + strings.Repeat("/"+up, 3) + slash + "secrets"
			got := callerOf(t, shared.admin).mustSend(t, "GET", path, "")
			for _, asked := range kubelet.paths() {
				if slices.Contains(strings.Split(asked, "/"), "..") {
					t.Errorf("%s: the kubelet was asked for %s, %v", path, asked, got)
				}
			}
		}
	}
	ns := shared.namespace(t)
	shared.pod(t, ns, "p", "dotted", nil)
	for _, path := range []string{"/pods/p/log?container=..%2f..%2fconfigz", "/pods/..%2fp/log", "/pods/p/exec?container=..%2f&command=id", "/pods/%2e%2e/log"} {
		got := callerOf(t, shared.admin).mustSend(t, "GET", "/api/v1/namespaces/"+ns+path, "")
		if asked := kubelet.paths(); got.code < 400 || len(asked) > 0 {
			t.Errorf("%s: the kubelet was asked for %v, %v", path, asked, got)
		}
	}
}

// The right to read does not run commands: a WebSocket begins with GET, and a kubelet behind the node proxy takes the
// API server's word for everything.
func TestWebSocketGetNeedsCreate(t *testing.T) {
	t.Parallel()
	kubelet := shared.kubelet(t, "streams", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	ns := shared.namespace(t)
	shared.pod(t, ns, "p", "streams", nil)
	const resources = "pods/exec,pods/attach,pods/portforward,nodes/proxy"
	reader := shared.user(t, "", "reader-"+ns, rule("get", "", resources))
	runner := shared.user(t, "", "runner-"+ns, rule("get,create", "", resources))
	pod := "/api/v1/namespaces/" + ns + "/pods/p/"
	for _, path := range []string{
		pod + "exec?command=id&stdout=true", pod + "attach?stdout=true", pod + "portforward?ports=80",
		"/api/v1/nodes/streams/proxy/exec/" + ns + "/p/c?command=id&output=1", fmt.Sprintf("/api/v1/nodes/https:streams:%d/proxy/exec/%s/p/c?command=id", kubelet.port, ns),
	} {
		for _, upgrade := range [][]string{toWebSocket, toSPDY} {
			kubelet.paths()
			if got := connect(t, reader).ask(t, "GET", path, upgrade...); got.code != http.StatusForbidden || len(kubelet.paths()) > 0 {
				t.Errorf("%s with the right to get: %v", path, got)
			}
			if got := connect(t, runner).ask(t, "GET", path, upgrade...); got.code == http.StatusForbidden || len(kubelet.paths()) == 0 {
				t.Errorf("%s with the right to create: %v", path, got)
			}
		}
	}
	if got := callerOf(t, reader).mustSend(t, "GET", "/api/v1/nodes/streams/proxy/metrics", ""); got.code != http.StatusOK || !slices.Contains(kubelet.paths(), "/metrics") {
		t.Errorf("reading metrics: %v", got)
	}
}

// Who opens the holes gets what upstream does: webhooks redirect the server, and the proxies reach its own machine.
func TestOpenedHoles(t *testing.T) {
	t.Parallel()
	s := another(t, "/opened", "--webhook-reject-redirect=false", "--proxy-reject-local-addresses=false")
	private := newBackend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "private") })
	for name, address := range map[string]corev1.NodeAddress{
		"address": {Type: corev1.NodeInternalIP, Address: "127.0.0.1"}, "name": {Type: corev1.NodeHostName, Address: "localhost"},
	} {
		s.node(t, name, private.port, address)
		for _, id := range []string{name, fmt.Sprintf("https:%s:%d", name, private.port)} {
			if got := callerOf(t, s.admin).mustSend(t, "GET", "/api/v1/nodes/"+id+"/proxy/", ""); got.code != http.StatusOK || got.body != "private" {
				t.Errorf("node %s: %v", id, got)
			}
		}
	}
	hook := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, private.URL+"/internal", http.StatusTemporaryRedirect)
	})
	s.validate(t, "redirects", hook, "nodes", nil)
	private.paths()
	daemons.Eventually(t, "the redirect to be followed", func() (string, bool) {
		_, err := s.client.CoreV1().Nodes().Patch(t.Context(), "name", types.MergePatchType, []byte(`{"metadata":{"labels":{"redirected":"yes"}}}`), metav1.PatchOptions{})
		return fmt.Sprint(err), slices.Contains(private.paths(), "/internal")
	})
}
