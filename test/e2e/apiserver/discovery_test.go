package apiserver

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// resource is a row of discovery.
type resource struct {
	metav1.APIResource
	gvr schema.GroupVersionResource // Resource without the subresource
	sub string
}

// String is as discovery has it, after the group and version.
func (r resource) String() string { return r.gvr.GroupVersion().String() + " " + r.Name }

// ga tells a version that is neither alpha nor beta.
var ga = regexp.MustCompile(`^v\d+$`)

// discovered are all resources and subresources of GA versions of the built-in API, sorted.
func (s *server) discovered(t *testing.T) []resource {
	t.Helper()
	_, lists, err := s.client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var all []resource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		if !ga.MatchString(gv.Version) || strings.HasSuffix(gv.Group, "example.com") { // of other tests
			continue
		}
		for _, r := range list.APIResources {
			name, sub, _ := strings.Cut(r.Name, "/")
			if r.Group, r.Version = gv.Group, gv.Version; sub == "" {
				r.Kind = strings.TrimPrefix(r.Kind, gv.Group+".")
			}
			all = append(all, resource{APIResource: r, gvr: gv.WithResource(name), sub: sub})
		}
	}
	if len(all) < 100 {
		t.Fatalf("discovery tells of %d resources only", len(all))
	}
	slices.SortFunc(all, func(a, b resource) int { return strings.Compare(a.String(), b.String()) })
	return all
}

func (r resource) can(verb string) bool { return slices.Contains(r.Verbs, verb) }

// kindOf is the kind of a main resource.
func (r resource) kindOf() schema.GroupVersionKind { return r.gvr.GroupVersion().WithKind(r.Kind) }

// documents reads a file of testdata.
func documents(t *testing.T, name string) map[schema.GroupVersionKind]*unstructured.Unstructured {
	t.Helper()
	all := map[schema.GroupVersionKind]*unstructured.Unstructured{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(made(os.ReadFile("testdata/"+name)).or(t)), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[o.GroupVersionKind()] = o
	}
}

// of is the client of a resource, in a namespace if it has namespaces.
func (s *server) of(r resource, namespace string) dynamic.ResourceInterface {
	if r.Namespaced {
		return s.dynamic.Resource(r.gvr).Namespace(namespace)
	}
	return s.dynamic.Resource(r.gvr)
}

// whole are the resources that are no subresources.
func whole(all []resource) []resource {
	return slices.DeleteFunc(slices.Clone(all), func(r resource) bool { return r.sub != "" })
}

// TestEveryResourceHasASample: what discovery tells of is in the tables that the walks use, and nothing else is.
func TestEveryResourceHasASample(t *testing.T) {
	t.Parallel()
	objects, questions := documents(t, "objects.yaml"), documents(t, "questions.yaml")
	seen := map[schema.GroupVersionKind]bool{}
	for _, r := range whole(shared.discovered(t)) {
		gvk := r.kindOf()
		seen[gvk] = true
		switch {
		case r.can("create") && r.can("get") && objects[gvk] == nil:
			t.Errorf("%s is in no document of testdata/objects.yaml", gvk)
		case r.can("create") && !r.can("get") && questions[gvk] == nil:
			t.Errorf("%s is in no document of testdata/questions.yaml", gvk)
		case !r.can("create") && r.Name != "componentstatuses":
			t.Errorf("%s cannot be created: is it meant to be so?", r)
		}
	}
	for _, table := range []map[schema.GroupVersionKind]*unstructured.Unstructured{objects, questions} {
		for gvk := range table {
			if !seen[gvk] {
				t.Errorf("%s of testdata is not in discovery", gvk)
			}
		}
	}
}
