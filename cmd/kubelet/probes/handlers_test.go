package probes

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestHTTPProbe(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		switch r.URL.Path {
		case "/bad":
			w.WriteHeader(http.StatusInternalServerError)
		case "/elsewhere":
			http.Redirect(w, r, "http://other.example/", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	}))
	defer server.Close()
	u, _ := url.Parse(server.URL)
	for _, c := range []struct {
		path    string
		want    outcome
		warning bool
		output  string
	}{
		{"/ok?a=b", success, false, ""},
		{"relative", success, false, ""},
		{"/here", success, false, ""},
		{"/bad", failure, false, "HTTP probe failed with statuscode: 500"},
		{"/elsewhere", success, true, "Probe terminated redirects"},
		{"/loop", failure, false, "stopped after 10 redirects"},
	} {
		get := &v1.HTTPGetAction{Path: c.path, Port: intstr.FromString("web"), HTTPHeaders: []v1.HTTPHeader{{Name: "Host", Value: "my.host"}, {Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}}}
		port, _ := net.LookupPort("tcp", u.Port())
		container := &v1.Container{Name: "app", Ports: []v1.ContainerPort{{Name: "web", ContainerPort: int32(port)}}}
		a, err := httpProbe(context.Background(), get, container, u.Hostname(), time.Second)
		if err != nil || a.outcome != c.want || a.warning != c.warning || !strings.Contains(a.output, c.output) {
			t.Errorf("%s: %+v, %v", c.path, a, err)
		}
		if c.path == "/ok?a=b" {
			if got.Host != "my.host" || len(got.Header["X-A"]) != 2 || got.URL.Query().Get("a") != "b" || !strings.HasPrefix(got.UserAgent(), "kube-probe/") {
				t.Errorf("request %+v", got)
			}
		}
	}
	if _, err := httpProbe(context.Background(), &v1.HTTPGetAction{Port: intstr.FromString("none")}, &v1.Container{Name: "app"}, "127.0.0.1", time.Second); err == nil {
		t.Error("an unknown port name gives no error")
	}
}

func TestTCPProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if a, err := tcpProbe(context.Background(), address, time.Second); err != nil || a.outcome != success {
		t.Errorf("open port: %+v, %v", a, err)
	}
	l.Close()
	if a, err := tcpProbe(context.Background(), address, time.Second); err != nil || a.outcome != failure || !strings.Contains(a.output, "connection refused") {
		t.Errorf("closed port: %+v, %v", a, err)
	}
}

func TestGRPCProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, state := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, state)
	go server.Serve(l) //nolint:errcheck // ends with Stop
	defer server.Stop()
	state.SetServingStatus("sick", healthpb.HealthCheckResponse_NOT_SERVING)
	for service, want := range map[string]outcome{"": success, "sick": failure, "unknown": failure} {
		if a, err := grpcProbe(context.Background(), l.Addr().String(), service, time.Second); err != nil || a.outcome != want {
			t.Errorf("service %q: %+v, %v", service, a, err)
		}
	}
}

func TestPortOf(t *testing.T) {
	c := &v1.Container{Name: "app", Ports: []v1.ContainerPort{{Name: "web", ContainerPort: 8080}}}
	for _, tc := range []struct {
		port intstr.IntOrString
		want int
	}{{intstr.FromInt32(80), 80}, {intstr.FromString("web"), 8080}, {intstr.FromString("90"), 90}, {intstr.FromString("no"), 0}, {intstr.FromInt32(0), 0}, {intstr.FromInt32(70000), 0}} {
		got, err := portOf(tc.port, c)
		if got != tc.want || (err != nil) != (tc.want == 0) {
			t.Errorf("%v: %d, %v", tc.port, got, err)
		}
	}
}
