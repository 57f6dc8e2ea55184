package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/test/e2e/daemons"
)

// TestPathsGiveWhatTheySay: who may get one path outside the API's resources gets that and no other, and nobody else
// gets it.
func TestPathsGiveWhatTheySay(t *testing.T) {
	t.Parallel()
	m := &matrix{T: t, caller: callerOf(t, shared.admin)}
	var index metav1.RootPaths
	if err := json.Unmarshal([]byte(m.caller.mustSend(t, "GET", "/", "").body), &index); err != nil {
		t.Fatal(err)
	}
	// What everybody may read.
	open := func(path string) bool {
		return slices.ContainsFunc([]string{"/api", "/apis", "/openapi", "/healthz", "/livez", "/readyz", "/version"}, func(root string) bool {
			return path == root || path == root+"/" || strings.HasPrefix(path, root+"/") && root != "/healthz" && root != "/livez" && root != "/readyz"
		})
	}
	paths := append(slices.DeleteFunc(index.Paths, open), "/", "/healthz/ping", "/livez/ping", "/readyz/ping", "/debug/pprof/cmdline")
	paths = slices.Compact(slices.Sorted(slices.Values(paths)))
	t.Logf("%d paths", len(paths))
	may := func(user, path string) bool {
		return m.as(user, "GET", path, "", "").code != http.StatusForbidden
	}
	for i, path := range paths {
		user, meta := fmt.Sprintf("path-%d", i), metav1.ObjectMeta{Name: fmt.Sprintf("path-%d", i)}
		m.post("clusterroles", rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{path}}}})
		m.post("clusterrolebindings", rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user}, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		})
		daemons.Eventually(t, user+" to get "+path, func() (string, bool) { return "", may(user, path) })
		for _, other := range []string{paths[(i+1)%len(paths)], strings.TrimSuffix(path, "/") + "/below", "/api/v1/nodes"} {
			if may(user, other) {
				t.Errorf("the right to get %s allows to get %s", path, other)
			}
		}
		if m.as(user, "POST", path, jsonType, "{}").code != http.StatusForbidden {
			t.Errorf("the right to get %s allows to post", path)
		}
		if may("nobody", path) {
			t.Errorf("everybody may get %s", path)
		}
	}
}
