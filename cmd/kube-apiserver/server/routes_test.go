package server

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emicklei/go-restful/v3"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

var patchTypes = []string{"application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"}

// servedRoutes are web services with the paths and methods that the server documents, always in the same order.
func servedRoutes(t testing.TB) []*restful.WebService {
	t.Helper()
	raw, err := serve(t).client.Discovery().RESTClient().Get().AbsPath("/openapi/v2").Do(context.Background()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var document spec.Swagger
	if err := document.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	roots := regexp.MustCompile(`^/(api/v1|apis/[^/]+/[^/]+|[^/]+/[^/]+|[^/]+)`)
	byRoot := map[string]*restful.WebService{}
	var services []*restful.WebService
	for _, path := range slices.Sorted(maps.Keys(document.Paths.Paths)) {
		item := document.Paths.Paths[path]
		root := roots.FindString(path)
		service := byRoot[root]
		if service == nil {
			service = new(restful.WebService).Path(root).Consumes("*/*").Produces("application/json", "application/vnd.kubernetes.protobuf")
			byRoot[root] = service
			services = append(services, service)
		}
		below := strings.Replace(strings.TrimPrefix(path, root), "{path}", "{path:*}", 1)
		operations := map[string]*spec.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete, "PATCH": item.Patch}
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			if operations[method] == nil {
				continue
			}
			route := service.Method(method).Path(below).To(func(*restful.Request, *restful.Response) {})
			if method == "PATCH" {
				route = route.Consumes(patchTypes...)
			}
			service.Route(route)
		}
	}
	return services
}

var parameters = regexp.MustCompile(`\{[^}]*\}`)

// TestRoutesAreThoseOfTheLibrary asks for every path that the server documents, and for many that are nearly one.
func TestRoutesAreThoseOfTheLibrary(t *testing.T) {
	services := servedRoutes(t)
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"a", "pods", "status", "proxy", "watch", "namespaces", "v1", "", "scale", "a:b", "{name}"}
	ours, library := &router{}, restful.CurlyRouter{}
	found := 0
	compare := func(request *http.Request) {
		t.Helper()
		service, route, err := ours.SelectRoute(services, request)
		wantService, want, wantErr := library.SelectRoute(services, request)
		if service != wantService || (route == nil) != (want == nil) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%s %s: %v, %v; the library has %v, %v", request.Method, request.URL.Path, route, err, want, wantErr)
		}
		if route != nil && (route.Path != want.Path || route.Method != want.Method) {
			t.Fatalf("%s %s: %v; the library has %v", request.Method, request.URL.Path, route, want)
		}
	}
	for _, service := range services {
		for _, route := range service.Routes() {
			path := parameters.ReplaceAllStringFunc(route.Path, func(string) string { return words[random.IntN(6)] })
			request := httptest.NewRequest(route.Method, path, nil)
			if route.Method == "PATCH" {
				request.Header.Set("Content-Type", patchTypes[random.IntN(3)]+"; charset=utf-8")
			}
			request.Header.Set("Accept", "application/vnd.kubernetes.protobuf,application/json")
			compare(request)
			if _, r := ours.index(services).find(request); r != nil {
				found++
			}
			request.Header.Set("Accept", []string{"", "*/*", "text/html", "text/html, */*;q=0.1"}[random.IntN(4)])
			request.Header.Set("Content-Type", []string{"", "text/plain", "application/json"}[random.IntN(3)])
			compare(request)
			segments := strings.Split(path, "/")
			segments[random.IntN(len(segments))] = words[random.IntN(len(words))]
			request.URL.Path = "/" + strings.TrimPrefix(strings.Join(segments, "/"), "/")
			compare(request)
			request.URL.Path = strings.Join(segments[:1+random.IntN(len(segments)-1)], "/") + "/"
			compare(request)
			request.Method = []string{"GET", "HEAD", "POST", "OPTIONS"}[random.IntN(4)]
			compare(request)
		}
	}
	total := 0
	for _, service := range services {
		total += len(service.Routes())
	}
	if found != total {
		t.Errorf("%d of %d routes were found by the tree, want all", found, total)
	}
}

func BenchmarkRoute(b *testing.B) {
	services := servedRoutes(b)
	request := httptest.NewRequest(http.MethodGet, "/api/v1/namespaces/default/configmaps/a", nil)
	for name, r := range map[string]restful.RouteSelector{"ours": &router{}, "library": restful.CurlyRouter{}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := r.SelectRoute(services, request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
