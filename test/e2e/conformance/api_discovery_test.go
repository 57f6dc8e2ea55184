package conformance

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// answer is what the server said.
type answer struct {
	Status     string
	StatusCode int
	Header     http.Header
}

// accepting asks the server in the test's own way: what it answers to method, path, Accept header and body, and the
// text of the answer.
func (s *space) accepting(method, path, accept, body string) (answer, string) {
	s.Helper()
	client := must[*http.Client](s)(rest.HTTPClientFor(s.Config))
	request := must[*http.Request](s)(http.NewRequestWithContext(s.Context(), method, s.Config.Host+path, strings.NewReader(body)))
	request.Header.Set("Accept", accept)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	return answer{response.Status, response.StatusCode, response.Header}, string(must[[]byte](s)(io.ReadAll(response.Body)))
}

func TestServerVersion(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] server version should find the server version")
	v := must[*version.Info](s)(s.Client.Discovery().ServerVersion())
	for name, part := range map[string]string{"major": v.Major, "minor": v.Minor} {
		if _, err := strconv.ParseUint(part, 10, 16); err != nil {
			t.Errorf("the %s version is %q, not an integer", name, part)
		}
	}
}

func TestTableOfWhatHasNoMetadata(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Servers with support for Table transformation should return a 406 for a backend which does not implement metadata")
	response, text := s.accepting(http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "application/json;as=Table;v=v1;g=meta.k8s.io",
		`{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"list","resource":"pods"}}}`)
	if response.StatusCode != http.StatusNotAcceptable {
		t.Errorf("%s: %s", response.Status, text)
	}
}

func TestChunksOfAList(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Servers with support for API chunking should return chunks of results for list calls")
	const all, limit = 100, 17
	client := s.Client.CoreV1().PodTemplates(s.Namespace)
	for i := range all {
		must[*v1.PodTemplate](s)(client.Create(s.Context(), &v1.PodTemplate{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("template-%d", i)},
			Template:   v1.PodTemplateSpec{Spec: s.pod("", "true").Spec},
		}, metav1.CreateOptions{}))
	}
	found, version, token := 0, "", ""
	for {
		chunk := must[*v1.PodTemplateList](s)(client.List(s.Context(), metav1.ListOptions{Limit: limit, Continue: token}))
		found += len(chunk.Items)
		if version == "" {
			version = chunk.ResourceVersion
		}
		if len(chunk.Items) > limit || chunk.ResourceVersion != version {
			t.Fatalf("a chunk of %d, at most %d, at version %s, the first was at %s", len(chunk.Items), limit, chunk.ResourceVersion, version)
		}
		if token = chunk.Continue; token == "" {
			if chunk.RemainingItemCount != nil {
				t.Errorf("the last chunk says that %d remain", *chunk.RemainingItemCount)
			}
			break
		}
		if remain := chunk.RemainingItemCount; remain == nil || *remain != int64(all-found) {
			t.Errorf("after %d of %d the server says that %v remain", found, all, remain)
		}
	}
	if found != all {
		t.Errorf("the chunks hold %d objects of %d", found, all)
	}
	if whole := must[*v1.PodTemplateList](s)(client.List(s.Context(), metav1.ListOptions{})); len(whole.Items) != all || whole.Continue != "" {
		t.Errorf("without a limit: %d objects of %d, continue %q", len(whole.Items), all, whole.Continue)
	}
}

func TestDiscoveryOfEachGroup(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Discovery should locate the groupVersion and a resource within each APIGroup")
	for _, want := range []string{"apps/v1", "batch/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1", "apiextensions.k8s.io/v1", "admissionregistration.k8s.io/v1", "coordination.k8s.io/v1", "policy/v1", "discovery.k8s.io/v1"} {
		gv, err := schema.ParseGroupVersion(want)
		if err != nil {
			t.Fatal(err)
		}
		var group metav1.APIGroup
		s.decodes("/apis/"+gv.Group, &group)
		if !slices.ContainsFunc(group.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.GroupVersion == want }) {
			t.Errorf("/apis/%s does not name %s: %v", gv.Group, want, group.Versions)
		}
		var resources metav1.APIResourceList
		s.decodes("/apis/"+want, &resources)
		if resources.GroupVersion != want || !slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name != "" && r.Kind != "" && len(r.Verbs) > 0 }) {
			t.Errorf("/apis/%s says groupVersion %q and the resources %v", want, resources.GroupVersion, resources.APIResources)
		}
	}
}

func TestPreferredVersions(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] Discovery should validate PreferredVersion for each APIGroup")
	var groups metav1.APIGroupList
	s.decodes("/apis", &groups)
	if len(groups.Groups) == 0 {
		t.Fatal("/apis names no group")
	}
	for _, listed := range groups.Groups {
		if !strings.HasSuffix(listed.Name, ".k8s.io") && strings.Contains(listed.Name, ".") {
			continue // a group of another test, which may go meanwhile
		}
		var group metav1.APIGroup
		s.decodes("/apis/"+listed.Name, &group)
		if group.Name != listed.Name || !slices.Contains(group.Versions, group.PreferredVersion) || group.PreferredVersion != listed.PreferredVersion {
			t.Errorf("/apis/%s: preferred is %v of %v", listed.Name, group.PreferredVersion, group.Versions)
		}
	}
}

// builtIn are resources that every server has.
var builtIn = []schema.GroupVersionResource{
	{Version: "v1", Resource: "pods"}, {Version: "v1", Resource: "namespaces"}, {Version: "v1", Resource: "services"}, {Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "nodes"}, {Version: "v1", Resource: "persistentvolumeclaims"},
	{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1", Resource: "daemonsets"}, {Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Resource: "replicasets"}, {Group: "batch", Version: "v1", Resource: "jobs"}, {Group: "batch", Version: "v1", Resource: "cronjobs"},
	{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
}

func TestAggregatedDiscovery(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface")
	s.aggregatedNames(builtIn...)
}

func TestAggregatedDiscoveryByHeader(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers")
	s.rawAggregatedNames(builtIn...)
}

// aggregatedNames checks that one request a root, as client-go makes it, names the resources.
func (s *space) aggregatedNames(resources ...schema.GroupVersionResource) {
	s.Helper()
	client, ok := s.Client.Discovery().(discovery.AggregatedDiscoveryInterface)
	if !ok {
		s.Fatal("the discovery client does not know aggregated discovery")
	}
	_, byVersion, _, err := client.GroupsAndMaybeResources()
	if err != nil {
		s.Fatal(err)
	}
	if byVersion == nil {
		s.Fatal("the server answers with groups only")
	}
	for _, want := range resources {
		list := byVersion[want.GroupVersion()]
		if list == nil || !slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == want.Resource }) {
			s.Errorf("aggregated discovery does not name %s", want)
		}
	}
}
