package conformance

import (
	"encoding/json"
	"net/http"
	"slices"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// decodes gets a path and decodes the JSON answer.
func (s *space) decodes(path string, into any) {
	s.Helper()
	response, text := s.accepting(http.MethodGet, path, "application/json", "")
	if response.StatusCode != http.StatusOK {
		s.Fatalf("%s: %s: %s", path, response.Status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.Fatalf("%s: %v", path, err)
	}
}

// rawAggregatedNames checks that /api and /apis name the resources when the Accept header asks for APIGroupDiscoveryList.
func (s *space) rawAggregatedNames(resources ...schema.GroupVersionResource) {
	s.Helper()
	var all []apidiscovery.APIGroupDiscovery
	for _, path := range []string{"/api", "/apis"} {
		all = append(all, s.rawAggregated(path).Items...)
	}
	for _, want := range resources {
		if !namesResource(all, want) {
			s.Errorf("the documents do not name %s", want)
		}
	}
}

// rawAggregated gets an APIGroupDiscoveryList by its Accept header.
func (s *space) rawAggregated(path string) apidiscovery.APIGroupDiscoveryList {
	s.Helper()
	const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	response, text := s.accepting(http.MethodGet, path, accept, "")
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != accept {
		s.Fatalf("%s: %s as %q", path, response.Status, got)
	}
	var list apidiscovery.APIGroupDiscoveryList
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		s.Fatal(err)
	}
	return list
}

func namesResource(groups []apidiscovery.APIGroupDiscovery, want schema.GroupVersionResource) bool {
	return slices.ContainsFunc(groups, func(g apidiscovery.APIGroupDiscovery) bool {
		return g.Name == want.Group && slices.ContainsFunc(g.Versions, func(v apidiscovery.APIVersionDiscovery) bool {
			return v.Version == want.Version && slices.ContainsFunc(v.Resources, func(r apidiscovery.APIResourceDiscovery) bool { return r.Resource == want.Resource })
		})
	})
}
