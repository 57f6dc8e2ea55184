package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// customGroup is an API group that only this test has.
func (s *space) customGroup() string { return s.Namespace + ".tests.pilotis.dev" }

// anything is a schema that takes every object.
const anything = `{type: object, x-kubernetes-preserve-unknown-fields: true}`

// definition is the manifest of a CustomResourceDefinition of things in the test's group. Each version is "name: schema"; the first is stored.
func (s *space) definition(kind string, versions ...string) string {
	var list []string
	for i, v := range versions {
		name, schema, _ := strings.Cut(v, ": ")
		list = append(list, fmt.Sprintf("  - {name: %s, served: true, storage: %t, schema: {openAPIV3Schema: %s}}", name, i == 0, schema))
	}
	plural := strings.ToLower(kind) + "s"
	return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ` + plural + `.` + s.customGroup() + `, labels: {of: SPACE}}
spec:
  group: ` + s.customGroup() + `
  scope: Namespaced
  names: {plural: ` + plural + `, singular: ` + strings.ToLower(kind) + `, kind: ` + kind + `, listKind: ` + kind + `List}
  versions:
` + strings.Join(list, "\n")
}

// defines creates a definition, waits until it is served, and gives a client for its first version.
func (s *space) defines(kind string, versions ...string) dynamic.ResourceInterface {
	s.Helper()
	crd := s.createClusterWide(definitions, s.definition(kind, versions...))
	s.established(crd.GetName())
	return s.things(kind, versions[0])
}

// things is a client for custom objects in the test's namespace.
func (s *space) things(kind, version string) dynamic.ResourceInterface {
	version, _, _ = strings.Cut(version, ": ")
	return s.resource(schema.GroupVersionResource{Group: s.customGroup(), Version: version, Resource: strings.ToLower(kind) + "s"}, false)
}

// established waits until the definition is in force and what it defines can be listed.
func (s *space) established(name string) {
	s.Helper()
	s.eventually("the definition "+name+" to be established", func() (any, bool) {
		crd := must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Get(s.Context(), name, metav1.GetOptions{}))
		conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
		return conditions, conditionHolds(conditions, "Established")
	})
	s.eventually(name+" to be served", func() (any, bool) {
		resource, group, _ := strings.Cut(name, ".")
		crd := must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Get(s.Context(), name, metav1.GetOptions{}))
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		for _, v := range versions {
			version := v.(map[string]any)
			if version["served"] != true {
				continue
			}
			if _, err := s.Dynamic.Resource(schema.GroupVersionResource{Group: group, Version: version["name"].(string), Resource: resource}).List(s.Context(), metav1.ListOptions{Limit: 1}); err != nil {
				return err, false
			}
		}
		return nil, true
	})
}

func conditionHolds(conditions []any, kind string) bool {
	for _, c := range conditions {
		if condition := c.(map[string]any); condition["type"] == kind {
			return condition["status"] == "True"
		}
	}
	return false
}

// thing is a custom object of the test's group with further members, as YAML lines.
func (s *space) thing(kind, version, name, members string) string {
	return "apiVersion: " + s.customGroup() + "/" + version + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\n" + members
}

func (s *space) patchDefinition(name, patch string, sub ...string) *unstructured.Unstructured {
	s.Helper()
	return must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Patch(s.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, sub...))
}

func TestDefinitionComesAndGoes(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition creating/deleting custom resource definition objects works")
	s.defines("Thing", "v1: "+anything)
	name := "things." + s.customGroup()
	if err := s.Dynamic.Resource(definitions).Delete(s.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually("the definition to be gone, and its kind with it", func() (any, bool) {
		_, err := s.Dynamic.Resource(definitions).Get(s.Context(), name, metav1.GetOptions{})
		_, listErr := s.things("Thing", "v1").List(s.Context(), metav1.ListOptions{})
		return fmt.Sprint(err, listErr), apierrors.IsNotFound(err) && apierrors.IsNotFound(listErr)
	})
}

func TestDefinitionsByLabel(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition listing custom resource definition objects works")
	for i := range 10 {
		s.createClusterWide(definitions, s.definition(fmt.Sprintf("Thing%d", i), "v1: "+anything))
	}
	other := s.parsed(s.definition("Other", "v1: "+anything))
	other.SetLabels(nil)
	must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Create(s.Context(), other, metav1.CreateOptions{}))
	s.removesLater(definitions, other.GetName())
	ours := metav1.ListOptions{LabelSelector: "of=" + s.Namespace}
	if list := must[*unstructured.UnstructuredList](s)(s.Dynamic.Resource(definitions).List(s.Context(), ours)); len(list.Items) != 10 {
		t.Errorf("%d definitions have the label, 10 were created", len(list.Items))
	}
	if err := s.Dynamic.Resource(definitions).DeleteCollection(s.Context(), metav1.DeleteOptions{}, ours); err != nil {
		t.Fatal(err)
	}
	s.eventually("the labelled definitions to be gone", func() (any, bool) {
		n := len(must[*unstructured.UnstructuredList](s)(s.Dynamic.Resource(definitions).List(s.Context(), ours)).Items)
		return n, n == 0
	})
	must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Get(s.Context(), other.GetName(), metav1.GetOptions{}))
}

func TestDefinitionStatus(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition getting/updating/patching custom resource definition status sub-resource works")
	s.defines("Thing", "v1: "+anything)
	name := "things." + s.customGroup()
	client := s.Dynamic.Resource(definitions)
	conditions := func() []any {
		read := must[*unstructured.Unstructured](s)(client.Get(s.Context(), name, metav1.GetOptions{}, "status"))
		list, _, _ := unstructured.NestedSlice(read.Object, "status", "conditions")
		return list
	}
	s.eventually("an update of the status without conflict", func() (any, bool) {
		crd := must[*unstructured.Unstructured](s)(client.Get(s.Context(), name, metav1.GetOptions{}, "status"))
		list, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
		list = append(list, map[string]any{"type": "StatusUpdated", "status": "True", "reason": "Tested", "message": "m"})
		if err := unstructured.SetNestedSlice(crd.Object, list, "status", "conditions"); err != nil {
			t.Fatal(err)
		}
		_, err := client.UpdateStatus(s.Context(), crd, metav1.UpdateOptions{})
		return err, err == nil
	})
	if got := conditions(); !conditionHolds(got, "StatusUpdated") || !conditionHolds(got, "Established") {
		t.Errorf("after the update: %v", got)
	}
	list := append(conditions(), map[string]any{"type": "StatusPatched", "status": "True", "reason": "Tested", "message": "m"})
	s.patchDefinition(name, string(must[[]byte](s)(json.Marshal(map[string]any{"status": map[string]any{"conditions": list}}))), "status")
	if got := conditions(); !conditionHolds(got, "StatusPatched") || !conditionHolds(got, "StatusUpdated") {
		t.Errorf("after the patch: %v", got)
	}
}

func TestWatchOfDefinitions(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourceDefinition Watch [Privileged:ClusterAdmin] CustomResourceDefinition Watch watch on custom resource definition objects")
	// What the behaviour names definitions are custom objects, each watched by its name; definitions are watched as well.
	onDefinitions := must[watch.Interface](s)(s.Dynamic.Resource(definitions).Watch(s.Context(), metav1.ListOptions{LabelSelector: "of=" + s.Namespace}))
	defer onDefinitions.Stop()
	things := s.defines("Thing", "v1: "+anything)
	s.sees(onDefinitions, watch.Added, "things."+s.customGroup())
	s.sees(onDefinitions, watch.Modified, "things."+s.customGroup())
	for _, name := range []string{"a", "b"} {
		events := must[watch.Interface](s)(things.Watch(s.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name}))
		defer events.Stop()
		s.create(things, s.thing("Thing", "v1", name, "spec: {n: 1}"))
		s.expects(events, watch.Added)
		must[*unstructured.Unstructured](s)(things.Patch(s.Context(), name, types.MergePatchType, []byte(`{"spec":{"n":2}}`), metav1.PatchOptions{}))
		s.expects(events, watch.Modified)
		if err := things.Delete(s.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		s.expects(events, watch.Deleted)
	}
	if err := s.Dynamic.Resource(definitions).Delete(s.Context(), "things."+s.customGroup(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.sees(onDefinitions, watch.Deleted, "things."+s.customGroup())
}

func TestDefaultsOfCustomObjects(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] custom resource defaulting for requests and from storage works")
	schemaWith := func(a, b string) string {
		return `{"type":"object","properties":{"a":{"type":"string"` + a + `},"b":{"type":"string"` + b + `}}}`
	}
	things := s.defines("Thing", "v1: "+schemaWith("", ""))
	setSchema := func(schema string) {
		s.patchDefinition("things."+s.customGroup(), `{"spec":{"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":`+schema+`}}]}}`)
	}
	reads := func(name, a, b string) {
		s.Helper()
		s.eventually(fmt.Sprintf("%s to have a=%q b=%q", name, a, b), func() (any, bool) {
			got := must[*unstructured.Unstructured](s)(things.Get(s.Context(), name, metav1.GetOptions{}))
			gotA, _, _ := unstructured.NestedString(got.Object, "a")
			gotB, _, _ := unstructured.NestedString(got.Object, "b")
			return got.Object, gotA == a && gotB == b
		})
	}
	s.create(things, s.thing("Thing", "v1", "one", ""))
	reads("one", "", "")
	setSchema(schemaWith(`,"default":"A"`, ""))
	reads("one", "A", "")
	s.create(things, s.thing("Thing", "v1", "two", ""))
	reads("two", "A", "")
	setSchema(schemaWith("", `,"default":"B"`))
	reads("two", "A", "B") // a was stored with its default
	reads("one", "", "B")  // a never was
}

func TestAggregatedDiscoveryOfCustomObjects(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface for CRDs")
	s.defines("Thing", "v1: "+anything)
	s.aggregatedNames(schema.GroupVersionResource{Group: s.customGroup(), Version: "v1", Resource: "things"})
}

func TestAggregatedDiscoveryOfCustomObjectsByHeader(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery request for CRDs")
	s.defines("Thing", "v1: "+anything)
	s.rawAggregatedNames(schema.GroupVersionResource{Group: s.customGroup(), Version: "v1", Resource: "things"})
}
