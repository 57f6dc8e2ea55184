package apiserver

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"pilotis.dev/test/e2e/daemons"
)

// caller sends requests as they are given, without a client's own ideas of paths, bodies and redirects.
type caller struct {
	host   string
	client *http.Client
}

func callerOf(t *testing.T, config *rest.Config) *caller {
	t.Helper()
	client := made(rest.HTTPClientFor(config)).or(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = daemons.Patience
	return &caller{host: config.Host, client: client}
}

// answer is what came back; of a stream it is only the beginning.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %.600s", a.code, a.body) }

// send sends a request; header is of pairs of name and value.
func (c *caller) send(verb, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(verb, c.host+"/", strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.URL.Opaque = path // nothing in it is encoded or cleaned
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got := answer{code: resp.StatusCode, header: resp.Header}
	if strings.Contains(path, "watch=true") && resp.StatusCode == http.StatusOK {
		return got, nil
	}
	data, err := io.ReadAll(resp.Body)
	got.body = string(data)
	return got, err
}

// mustSend ends the test when there is no answer at all.
func (c *caller) mustSend(t *testing.T, verb, path, body string, header ...string) answer {
	t.Helper()
	return made(c.send(verb, path, body, header...)).or(t)
}

// connection speaks HTTP/1.1 with the server, request after request.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

func connect(t *testing.T, config *rest.Config) *connection {
	t.Helper()
	secure := made(rest.TLSConfigFor(config)).or(t)
	secure.NextProtos = []string{"http/1.1"}
	conn := made(tls.Dial("tcp", strings.TrimPrefix(config.Host, "https://"), secure)).or(t)
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(daemons.Patience)); err != nil {
		t.Fatal(err)
	}
	return &connection{Conn: conn, reader: bufio.NewReader(conn)}
}

// ask sends a request without body and reads the answer; one that switches protocols has no body.
func (c *connection) ask(t *testing.T, verb, path string, header ...string) answer {
	t.Helper()
	text := verb + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	for i := 0; i+1 < len(header); i += 2 {
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	if _, err := io.WriteString(c, text+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := answer{code: resp.StatusCode, header: resp.Header}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		got.body = string(made(io.ReadAll(resp.Body)).or(t))
	}
	return got
}

// Headers of requests that want another protocol.
var (
	toWebSocket = []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	toSPDY      = []string{"Connection", "Upgrade", "Upgrade", "SPDY/3.1", "X-Stream-Protocol-Version", "v4.channel.k8s.io"}
)

// backend is a server behind the API server that notes what it is asked for.
type backend struct {
	*httptest.Server
	port  int
	mu    sync.Mutex
	asked []string
}

// newBackend is on loopback.
func newBackend(t *testing.T, handler http.HandlerFunc) *backend {
	t.Helper()
	return backendAt(t, "127.0.0.1", handler)
}

func backendAt(t *testing.T, address string, handler http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked = append(b.asked, r.URL.Path)
		b.mu.Unlock()
		handler(w, r)
	}))
	b.Listener.Close()
	b.Listener = made(net.Listen("tcp", net.JoinHostPort(address, "0"))).or(t)
	b.StartTLS()
	t.Cleanup(b.Close)
	_, port, err := net.SplitHostPort(b.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b.port = made(strconv.Atoi(port)).or(t)
	return b
}

// paths is what was asked for since the last call.
func (b *backend) paths() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked = nil
	return asked
}

// kubelet registers a node with a kubelet.
func (s *server) kubelet(t *testing.T, name string, handler http.HandlerFunc) *backend {
	t.Helper()
	b := backendAt(t, outside, handler)
	s.node(t, name, b.port, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: outside})
	return b
}

func (s *server) node(t *testing.T, name string, port int, addresses ...corev1.NodeAddress) *corev1.Node {
	t.Helper()
	return made(s.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{
			Addresses: addresses, DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(port)}},
		},
	}, metav1.CreateOptions{})).or(t)
}

// pod makes a pod, on a node if there is a name.
func (s *server) pod(t *testing.T, namespace, name, node string, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	p := podObject(name, node)
	if change != nil {
		change(p)
	}
	return made(s.client.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{})).or(t)
}

func podObject(name, node string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "example.org/i:1"}}}}
}

// rule is a rule of RBAC; the texts are lists with commas.
func rule(verbs, group, resources string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: []string{group}, Resources: strings.Split(resources, ",")}
}

// user is a client with a certificate whose rights are the rules, in a namespace or in the whole cluster.
func (s *server) user(t *testing.T, namespace, name string, rules ...rbacv1.PolicyRule) *rest.Config {
	t.Helper()
	ctx, api, meta := t.Context(), s.client.RbacV1(), metav1.ObjectMeta{Name: name, Namespace: namespace}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}
	if namespace == "" {
		made(api.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})).or(t)
		made(api.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		}, metav1.CreateOptions{})).or(t)
	} else {
		made(api.Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})).or(t)
		made(api.RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		}, metav1.CreateOptions{})).or(t)
	}
	first := rules[0]
	resource, subresource, _ := strings.Cut(first.Resources[0], "/")
	daemons.Eventually(t, "the rights of "+name, func() (string, bool) {
		return "", s.may(t, name, &authorizationv1.ResourceAttributes{Verb: first.Verbs[0], Group: first.APIGroups[0], Resource: resource, Subresource: subresource, Namespace: namespace})
	})
	return s.as(t, name)
}

// bind gives a user a ClusterRole in a namespace.
func (s *server) bind(t *testing.T, namespace, user, role string) {
	t.Helper()
	made(s.client.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user + ":" + role}, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}, metav1.CreateOptions{})).or(t)
}

// may asks the server whether a user may do something.
func (s *server) may(t *testing.T, user string, what *authorizationv1.ResourceAttributes) bool {
	t.Helper()
	return made(s.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: []string{"system:authenticated"}, ResourceAttributes: what},
	}, metav1.CreateOptions{})).or(t).Status.Allowed
}
