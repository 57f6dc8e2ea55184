package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// fakeNode registers a node whose kubelet is handler.
func (s *testServer) fakeNode(t *testing.T, name string, handler http.Handler) {
	t.Helper()
	kubelet := httptest.NewTLSServer(handler)
	t.Cleanup(kubelet.Close)
	host, portText, err := net.SplitHostPort(kubelet.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{
			Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: host}},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(port)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{}) })
}

// Logs come from the pod's kubelet with the options that were asked for; a kubelet cannot send the server elsewhere.
func TestLogs(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	s.fakeNode(t, "node-logs", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/redirected/c") {
			http.Redirect(w, r, "https://192.0.2.1/secret", http.StatusFound)
			return
		}
		if r.URL.Query().Get("previous") == "true" {
			http.Error(w, "no previous container", http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, "%s %s", r.URL.Path, r.URL.RawQuery)
	}))
	for _, name := range []string{"p", "redirected"} {
		if _, err := s.client.CoreV1().Pods(ns).Create(t.Context(), pod(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := s.bind(t, ns, name, "node-logs"); err != nil {
			t.Fatal(err)
		}
	}
	tail := int64(5)
	body, err := s.client.CoreV1().Pods(ns).GetLogs("p", &corev1.PodLogOptions{TailLines: &tail, Timestamps: true}).DoRaw(t.Context())
	if want := "/containerLogs/" + ns + "/p/c tailLines=5&timestamps=true"; err != nil || string(body) != want {
		t.Errorf("got %q %v, want %q", body, err, want)
	}
	_, err = s.client.CoreV1().Pods(ns).GetLogs("p", &corev1.PodLogOptions{Previous: true}).DoRaw(t.Context())
	mustBe(t, "a refusal of the kubelet", err, apierrors.IsBadRequest)
	if body, err := s.client.CoreV1().Pods(ns).GetLogs("redirected", &corev1.PodLogOptions{}).DoRaw(t.Context()); err == nil {
		t.Errorf("a redirect was followed: %q", body)
	}
}

// The node proxy reaches nothing of the server's own machine, not even by the kubelet's port. (That it reaches kubelets
// is shown by test/e2e/apiserver, in a network of its own.)
func TestNodeProxy(t *testing.T) {
	s := serve(t)
	s.fakeNode(t, "node-proxy", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "private") }))
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "private") }))
	t.Cleanup(other.Close)
	_, port, _ := net.SplitHostPort(other.Listener.Addr().String())
	for _, id := range []string{"node-proxy", "http:node-proxy:" + port} {
		_, err := s.raw(t.Context(), "GET", "/api/v1/nodes/"+id+"/proxy/", "", nil)
		mustBe(t, id, err, apierrors.IsBadRequest)
	}
}

// user is a client with the rights of a role in one namespace.
func (s *testServer) user(t *testing.T, ns, name string, rules ...rbacv1.PolicyRule) kubernetes.Interface {
	t.Helper()
	ctx := t.Context()
	if _, err := s.client.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: name}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s.as(t, name)
}

// as is a client that acts in a user's name.
func (s *testServer) as(t *testing.T, name string) kubernetes.Interface {
	t.Helper()
	config := rest.CopyConfig(s.config)
	config.Impersonate.UserName = name
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Nobody can write a role that holds more than he holds.
func TestNoEscalation(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	writer := s.user(t, ns, "writer", rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, Verbs: []string{"create", "get"}})
	eventually(t, "the role", func(ctx context.Context) error {
		_, err := writer.RbacV1().Roles(ns).Get(ctx, "writer", metav1.GetOptions{})
		return err
	})
	more := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "more"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}}}
	_, err := writer.RbacV1().Roles(ns).Create(t.Context(), more, metav1.CreateOptions{})
	mustBe(t, "a role with more rights", err, apierrors.IsForbidden)
	more.Rules = []rbacv1.PolicyRule{{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, Verbs: []string{"get"}}}
	if _, err := writer.RbacV1().Roles(ns).Create(t.Context(), more, metav1.CreateOptions{}); err != nil {
		t.Errorf("a role with less rights: %v", err)
	}
}
