package health

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/cmd/kube-proxy/desired"
)

// TestStatus: healthy with the first application; a leaving node fails /healthz, so that load balancers go elsewhere, but
// not /livez.
func TestStatus(t *testing.T) {
	s := &Status{}
	code := func(path string) int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %s", path, w.Body)
		}
		return w.Code
	}
	expect := func(when string, healthz, livez int) {
		t.Helper()
		if h, l := code("/healthz"), code("/livez"); h != healthz || l != livez {
			t.Errorf("%s: /healthz %d, /livez %d", when, h, l)
		}
	}
	expect("before the first rules", 503, 503)
	s.Applied()
	expect("with rules", 200, 200)
	s.SetNodeLeaving(true)
	expect("while the node leaves", 503, 200)
	s.SetNodeLeaving(false)
	expect("when it stays after all", 200, 200)
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestLocalEndpoints(t *testing.T) {
	l, key := NewLocalEndpoints(&Status{}), types.NamespacedName{Namespace: "shop", Name: "web"}
	update := func(port uint16, endpoints ...string) {
		p := desired.ServicePort{Service: key, HealthCheckNodePort: port}
		for _, e := range endpoints {
			p.Local = append(p.Local, desired.Endpoint{Address: netip.MustParseAddrPort(e), Local: true})
		}
		second := p // a second port of the Service has the same pods
		second.PortName = "other"
		l.Update(t.Context(), map[types.NamespacedName][]desired.ServicePort{key: {p, second}})
	}
	ask := func(port uint16) (int, string) {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !json.Valid(body) {
			t.Errorf("%s %v", body, err)
		}
		return resp.StatusCode, resp.Header.Get("X-Load-Balancing-Endpoint-Weight")
	}
	expect := func(when string, port uint16, code int, weight string) {
		t.Helper()
		if c, w := ask(port); c != code || w != weight {
			t.Errorf("%s: %d with weight %q, want %d with %q", when, c, w, code, weight)
		}
	}
	one, two := freePort(t), freePort(t)
	update(one, "10.244.0.1:80", "10.244.0.2:80")
	expect("two pods here", one, 200, "2")
	update(one)
	expect("none here", one, 503, "0")
	update(two, "10.244.0.1:80")
	expect("the old port", one, 0, "")
	expect("the new port", two, 200, "1")
	l.Update(t.Context(), map[types.NamespacedName][]desired.ServicePort{key: nil})
	expect("the Service is gone", two, 0, "")
}
