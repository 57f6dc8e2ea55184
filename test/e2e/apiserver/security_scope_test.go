package apiserver

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"pilotis.dev/test/e2e/daemons"
)

// define makes a CustomResourceDefinition of example.com that keeps all fields, and waits until it is served.
func (s *server) define(t *testing.T, name, kind, scope string) schema.GroupVersionResource {
	t.Helper()
	plural, group, _ := strings.Cut(name, ".")
	definitions := s.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	made(definitions.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group": group, "scope": scope, "names": map[string]any{"plural": plural, "singular": strings.ToLower(kind), "kind": kind},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}, metav1.CreateOptions{})).or(t)
	resource := schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural}
	daemons.Eventually(t, name+" to be served", func() (string, bool) {
		_, err := s.dynamic.Resource(resource).List(t.Context(), metav1.ListOptions{})
		return "", err == nil
	})
	return resource
}

func custom(kind, namespace, name, secret string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": kind, "secret": secret}}
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// CVE-2019-11247: rights in a namespace do not reach cluster-scoped custom objects by a path with that namespace.
func TestClusterScopedByNamespacedPath(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	wide := shared.define(t, "widethings.example.com", "WideThing", "Cluster")
	made(shared.dynamic.Resource(wide).Create(t.Context(), custom("WideThing", "", "w", "treasure"), metav1.CreateOptions{})).or(t)
	owner := shared.user(t, ns, "owner-of-"+ns, rule("*", "example.com", "*"))
	body := `{"apiVersion":"example.com/v1","kind":"WideThing","metadata":{"name":"forged"},"secret":"x"}`
	path := "/apis/example.com/v1/namespaces/" + ns + "/widethings"
	for _, request := range []struct{ verb, path, contentType string }{
		{"GET", path, ""}, {"GET", path + "/w", ""}, {"GET", path + "?watch=true&timeoutSeconds=1", ""}, {"DELETE", path + "/w", ""}, {"DELETE", path, ""},
		{"POST", path, jsonType}, {"PUT", path + "/w", jsonType}, {"PATCH", path + "/w", mergePatch}, {"PATCH", path + "/w?fieldManager=x", applyYAML},
	} {
		got := callerOf(t, owner).mustSend(t, request.verb, request.path, body, "Content-Type", request.contentType)
		if got.code != http.StatusNotFound || strings.Contains(got.body, "treasure") {
			t.Errorf("%s %s: %v, want 404", request.verb, request.path, got)
		}
	}
	// The same holds for the built-in kinds, and the other way round.
	for _, path := range []string{"/api/v1/namespaces/" + ns + "/nodes", "/api/v1/namespaces/" + ns + "/persistentvolumes"} {
		if got := callerOf(t, shared.admin).mustSend(t, "GET", path, ""); got.code != http.StatusNotFound {
			t.Errorf("%s: %v, want 404", path, got)
		}
	}
	if got := made(shared.dynamic.Resource(wide).Get(t.Context(), "w", metav1.GetOptions{})).or(t); got.Object["secret"] != "treasure" {
		t.Errorf("it was changed: %v", got)
	}
}

// CVE-2022-3162: whoever may list one custom resource cannot read another of its group, or anything else in etcd, with
// ".." in place of a namespace or name.
func TestDotsInNames(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	allowed := shared.define(t, "opens.example.com", "Open", "Namespaced")
	hidden := shared.define(t, "hiddens.example.com", "Hidden", "Namespaced")
	made(shared.dynamic.Resource(allowed).Namespace(ns).Create(t.Context(), custom("Open", ns, "o", "known"), metav1.CreateOptions{})).or(t)
	made(shared.dynamic.Resource(hidden).Namespace(ns).Create(t.Context(), custom("Hidden", ns, "h", "treasure"), metav1.CreateOptions{})).or(t)
	reader := callerOf(t, shared.user(t, "", "reader-of-"+ns, rule("get,list,watch,create,update,patch,delete", "example.com", "opens")))
	const group = "/apis/example.com/v1/"
	if got := reader.mustSend(t, "GET", group+"opens", ""); !strings.Contains(got.body, "known") {
		t.Fatalf("what is allowed: %v", got)
	}
	for _, up := range []string{"..", "%2e%2e", ".%2e"} {
		for _, slash := range []string{"/", "%2f"} {
			for _, path := range []string{
				"namespaces/" + up + slash + "hiddens/opens", "namespaces/" + up + "/opens/" + up + slash + "hiddens", "namespaces/" + up + slash + "hiddens" + slash + ns + "/opens/h",
				"namespaces/" + ns + "/opens/" + up + slash + up + slash + "hiddens" + slash + ns + slash + "h", "opens/" + up + slash + "hiddens", "opens" + slash + up + slash + "hiddens" + slash + ns + slash + "h",
				"namespaces/" + up + "/opens?watch=true&timeoutSeconds=1", "opens?fieldSelector=metadata.name%3d" + up + "%2fhiddens", "opens?fieldSelector=metadata.namespace%3d" + up + "%2fhiddens",
			} {
				got, err := reader.send("GET", group+path, "")
				if err == nil && strings.Contains(got.body, "treasure") {
					t.Errorf("GET %s shows another resource: %v", path, got)
				}
			}
		}
	}
	for _, name := range []string{"..", ".", "a/b", "../hiddens/x", "a%2fb"} {
		body := `{"apiVersion":"example.com/v1","kind":"Open","metadata":{"name":"` + name + `"}}`
		if got := reader.mustSend(t, "POST", group+"namespaces/"+ns+"/opens", body, "Content-Type", jsonType); got.code != http.StatusUnprocessableEntity && got.code != http.StatusBadRequest {
			t.Errorf("an object called %q: %v", name, got)
		}
		body = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `"}}`
		if got := callerOf(t, shared.admin).mustSend(t, "POST", "/api/v1/namespaces/"+ns+"/configmaps", body, "Content-Type", jsonType); got.code != http.StatusUnprocessableEntity && got.code != http.StatusBadRequest {
			t.Errorf("a ConfigMap called %q: %v", name, got)
		}
	}
}
