package apiserver

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/test/e2e/daemons"
)

// OpenAPI v3 shows of custom resources the versions that are served now, also where another definition serves the same
// version of the group.
func TestOpenAPIShowsServedVersions(t *testing.T) {
	t.Parallel()
	definitions := shared.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	version := func(name string, served, storage bool) string {
		return fmt.Sprintf(`{"name":%q,"served":%t,"storage":%t,"schema":{"openAPIV3Schema":{"type":"object"}}}`, name, served, storage)
	}
	for plural, versions := range map[string]string{
		"oaks": version("v1", true, true) + "," + version("v2", true, false), "elms": version("v1", true, true),
	} {
		kind := strings.ToUpper(plural[:1]) + plural[1:len(plural)-1]
		got := callerOf(t, shared.admin).mustSend(t, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", fmt.Sprintf(
			`{"metadata":{"name":"%s.trees.example.com"},"spec":{"group":"trees.example.com","scope":"Namespaced","names":{"plural":%q,"kind":%q},"versions":[%s]}}`,
			plural, plural, kind, versions))
		if got.code != 201 {
			t.Fatal(got)
		}
	}
	shows := func(what string, want map[string]bool) {
		t.Helper()
		daemons.Eventually(t, what, func() (string, bool) {
			caller, saw, holds := callerOf(t, shared.admin), []string{}, true
			index := caller.mustSend(t, "GET", "/openapi/v3", "").body
			for path, there := range want {
				gv, plural, _ := strings.Cut(path, " ")
				got := caller.mustSend(t, "GET", "/openapi/v3/apis/trees.example.com/"+gv, "")
				shown := got.code == 200 && strings.Contains(got.body, "/namespaces/{namespace}/"+plural+`/{name}"`)
				if shown != strings.Contains(index, `"apis/trees.example.com/`+gv+`"`) && (there || got.code != 200) || shown != there {
					saw, holds = append(saw, fmt.Sprintf("%s: %t, %d", path, shown, got.code)), false
				}
			}
			return fmt.Sprint(saw), holds
		})
	}
	oaks := func(versions ...string) {
		t.Helper()
		made(definitions.Patch(t.Context(), "oaks.trees.example.com", types.MergePatchType,
			fmt.Appendf(nil, `{"spec":{"versions":[%s]}}`, strings.Join(versions, ",")), metav1.PatchOptions{})).or(t)
	}
	shows("all versions", map[string]bool{"v1 oaks": true, "v2 oaks": true, "v1 elms": true})
	oaks(version("v1", true, true), version("v2", false, false))
	shows("oaks of v1 only", map[string]bool{"v1 oaks": true, "v2 oaks": false, "v1 elms": true})
	oaks(version("v1", false, true), version("v2", true, false))
	shows("oaks of v2 only", map[string]bool{"v1 oaks": false, "v2 oaks": true, "v1 elms": true})
	if err := definitions.Delete(t.Context(), "oaks.trees.example.com", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	shows("no oaks", map[string]bool{"v1 oaks": false, "v2 oaks": false, "v1 elms": true})
}
