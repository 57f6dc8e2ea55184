package serve

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func TestAttributes(t *testing.T) {
	s := New(Config{NodeName: "n1"})
	for _, c := range []struct{ method, path, verb, subresources string }{
		{"GET", "/pods", "get", "pods proxy"},
		{"GET", "/runningpods/", "get", "pods proxy"},
		{"GET", "/stats/summary", "get", "stats"},
		{"POST", "/stats/summary", "create", "stats"},
		{"GET", "/metrics", "get", "metrics"},
		{"GET", "/metrics/cadvisor", "get", "metrics"},
		{"GET", "/metricsfoo", "get", "proxy"},
		{"GET", "/logs/syslog", "get", "log"},
		{"GET", "/configz", "get", "configz proxy"},
		{"GET", "/healthz", "get", "healthz proxy"},
		{"GET", "/healthz/ping", "get", "healthz proxy"},
		{"GET", "/livez", "get", "healthz proxy"},
		{"POST", "/checkpoint/ns/p/c", "create", "checkpoint"},
		{"GET", "/containerLogs/ns/p/c", "get", "proxy"},
		{"GET", "/debug/pprof/heap", "get", "proxy"},
		{"PUT", "/x", "update", "proxy"},
		{"DELETE", "/x", "delete", "proxy"},
		// Running a command is no reading, whatever the method.
		{"POST", "/exec/ns/p/c", "create", "proxy"},
		{"GET", "/exec/ns/p/c", "create", "proxy"},
		{"GET", "/attach/ns/p/c", "create", "proxy"},
		{"GET", "/portForward/ns/p", "create", "proxy"},
		{"POST", "/run/ns/p/c", "create", "proxy"},
		{"GET", "/stats/../exec/ns/p/c", "create", "proxy"},
		{"GET", "//exec/ns/p/c", "create", "proxy"},
		{"GET", "/metrics/%2e%2e/exec/ns/p/c", "create", "proxy"},
	} {
		req := httptest.NewRequest(c.method, "https://node"+c.path, nil)
		var subresources []string
		for _, a := range s.attributes(&user.DefaultInfo{Name: "u"}, req) {
			subresources = append(subresources, a.GetSubresource())
			if a.GetVerb() != c.verb || a.GetResource() != "nodes" || a.GetName() != "n1" || a.GetAPIGroup() != "" {
				t.Errorf("%s %s: %s %s/%s of %s", c.method, c.path, a.GetVerb(), a.GetResource(), a.GetSubresource(), a.GetName())
			}
		}
		if got := strings.Join(subresources, " "); got != c.subresources {
			t.Errorf("%s %s: needs %s, want %s", c.method, c.path, got, c.subresources)
		}
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add("/stats/../exec/a/b/c")
	f.Add("/%65xec/a/b/c")
	f.Add("/logs/..%2fexec/a/b/c")
	f.Fuzz(func(t *testing.T, path string) {
		req, err := http.NewRequest(http.MethodGet, "https://node/", nil)
		if err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		u, err := req.URL.Parse(path)
		if err != nil {
			return
		}
		req.URL = u
		// What the router would hand to a handler that opens a stream must have been asked for as such.
		streaming := false
		mux := http.NewServeMux()
		for _, p := range []string{"/exec/{a}/{b}/{c}", "/attach/{a}/{b}/{c}", "/portForward/{a}/{b}", "/run/{a}/{b}/{c}"} {
			mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) { streaming = true })
		}
		mux.ServeHTTP(httptest.NewRecorder(), req)
		if !streaming {
			return
		}
		for _, a := range New(Config{}).attributes(&user.DefaultInfo{}, req) {
			if a.GetVerb() != "create" || a.GetSubresource() != "proxy" {
				t.Errorf("%q reaches a stream with %s %s", path, a.GetVerb(), a.GetSubresource())
			}
		}
	})
}

// rights are the subresources and verbs that everybody has, as "verb subresource".
type rights []string

func (r rights) authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	for _, right := range r {
		if right == a.GetVerb()+" "+a.GetSubresource() {
			return authorizer.DecisionAllow, "", nil
		}
		if right == "fail "+a.GetSubresource() {
			return authorizer.DecisionNoOpinion, "", errors.New("the API server is away")
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// named lets everybody in who gives a name.
func named(req *http.Request) (*authenticator.Response, bool, error) {
	name := req.Header.Get("X-Name")
	return &authenticator.Response{User: &user.DefaultInfo{Name: name}}, name != "", nil
}

func TestAuthorization(t *testing.T) {
	for _, c := range []struct {
		name, path string
		rights     rights
		code       int
		body       string
	}{
		{"", "/pods", rights{"get pods"}, http.StatusUnauthorized, "Unauthorized"},
		{"bob", "/pods", rights{}, http.StatusForbidden, "Forbidden (user=bob, verb=get, resource=nodes, subresource(s)=[pods proxy])"},
		{"bob", "/pods", rights{"get pods"}, http.StatusOK, "PodList"},
		{"bob", "/pods", rights{"get proxy"}, http.StatusOK, "PodList"},
		{"bob", "/stats/summary", rights{"get proxy"}, http.StatusForbidden, "Forbidden"},
		{"bob", "/healthz", rights{"get healthz"}, http.StatusOK, "ok"},
		{"bob", "/exec/ns/p/c?command=id&output=1", rights{"get proxy"}, http.StatusForbidden, "verb=create"},
		{"bob", "/exec/ns/p/c?command=id&output=1", rights{"create proxy"}, http.StatusBadRequest, "Upgrade request required"},
		{"bob", "/pods", rights{"fail pods"}, http.StatusInternalServerError, "Authorization error (user=bob, verb=get, resource=nodes, subresource=pods)"},
	} {
		s := testServer(nil, nil)
		s.Auth = Auth{Authenticator: authenticator.RequestFunc(named), Authorizer: authorizer.AuthorizerFunc(c.rights.authorize)}
		req := httptest.NewRequest(http.MethodGet, "https://node"+c.path, nil)
		req.Header.Set("X-Name", c.name)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, req)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%q %s with %v: %d %s", c.name, c.path, c.rights, w.Code, w.Body)
		}
	}
}

func TestNobodyGetsInWithoutAuth(t *testing.T) {
	w := httptest.NewRecorder()
	New(Config{}).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://node/pods", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("%d", w.Code)
	}
}

func TestHealthPortShowsHealthAlone(t *testing.T) {
	s := testServer(nil, nil)
	fault := error(nil)
	s.Health = func() error { return fault }
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.health().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := get("/healthz"); w.Code != http.StatusOK || w.Body.String() != "ok" {
		t.Errorf("healthy: %d %s", w.Code, w.Body)
	}
	fault = errors.New("the runtime is away")
	if w := get("/healthz"); w.Code != http.StatusInternalServerError {
		t.Errorf("unhealthy: %d", w.Code)
	}
	for _, path := range []string{"/debug/pprof/", "/metrics", "/pods", "/configz"} {
		if w := get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
