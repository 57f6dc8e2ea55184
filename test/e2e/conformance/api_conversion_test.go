package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// definesPlaces defines Place with a v1, stored, that has address: "host:port", and a v2 that has host and port. The
// server that runs converts between them. Fields may be selected in both versions.
func (s *space) definesPlaces() {
	s.Helper()
	bundle := s.webhookServer()
	name := "places." + s.customGroup()
	s.createClusterWide(definitions, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: `+name+`}
spec:
  group: `+s.customGroup()+`
  scope: Namespaced
  names: {plural: places, singular: place, kind: Place, listKind: PlaceList}
  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v1]
      clientConfig: {caBundle: `+bundle+`, service: {namespace: SPACE, name: server, path: /convert}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {address: {type: string}}}}
    selectableFields: [{jsonPath: .address}]
  - name: v2
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, properties: {host: {type: string}, port: {type: string}}}}
    selectableFields: [{jsonPath: .host}, {jsonPath: .port}]
`)
	s.Cleanup(func() { s.removesDefinition(name) })
	s.established(name)
	s.eventually("the server to convert", func() (any, bool) {
		_, err := s.things("Place", "v2").Create(s.Context(), s.parsed(s.thing("Place", "v2", "dry", "host: here\nport: \"80\"")), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err, err == nil
	})
}

// removesDefinition deletes the definition and waits until it is gone: to find what is left of its kind, the server that
// converts must still be there.
func (s *space) removesDefinition(name string) {
	s.Helper()
	if err := s.Dynamic.Resource(definitions).Delete(s.cleanupContext(), name, metav1.DeleteOptions{}); err != nil {
		s.Error(err)
		return
	}
	s.eventually("the definition "+name+" to be gone", func() (any, bool) {
		_, err := s.Dynamic.Resource(definitions).Get(s.cleanupContext(), name, metav1.GetOptions{})
		return err, apierrors.IsNotFound(err)
	})
}

// place creates a Place through a version.
func (s *space) place(version, name, host, port string) {
	s.Helper()
	members := fmt.Sprintf("address: %q", host+":"+port)
	if version == "v2" {
		members = fmt.Sprintf("host: %q\nport: %q", host, port)
	}
	s.create(s.things("Place", version), s.thing("Place", version, name, members))
}

// told is a Place in a word, and the version that it has.
func told(o *unstructured.Unstructured) string {
	version := o.GetAPIVersion()[strings.LastIndex(o.GetAPIVersion(), "/")+1:]
	member := func(name string) string { value, _, _ := unstructured.NestedString(o.Object, name); return value }
	return fmt.Sprintf("%s %s address=%s host=%s port=%s", version, o.GetName(), member("address"), member("host"), member("port"))
}

// places lists through a version, in words.
func (s *space) places(version, fields string) []string {
	s.Helper()
	list := must[*unstructured.UnstructuredList](s)(s.things("Place", version).List(s.Context(), metav1.ListOptions{FieldSelector: fields}))
	words := []string{}
	for _, o := range list.Items {
		words = append(words, told(&o))
	}
	slices.Sort(words)
	return words
}

// storesSecondVersion has a definition's second version stored instead of its first, and waits until it is.
func (s *space) storesSecondVersion(name string) {
	s.Helper()
	crd := must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Get(s.Context(), name, metav1.GetOptions{}))
	resource, group, _ := strings.Cut(name, ".")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	second := versions[1].(map[string]any)["name"].(string)
	hash := func() string {
		list := must[*metav1.APIResourceList](s)(s.Client.Discovery().ServerResourcesForGroupVersion(group + "/" + second))
		i := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource })
		return list.APIResources[i].StorageVersionHash
	}
	before := hash()
	must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Patch(s.Context(), name, types.JSONPatchType,
		[]byte(`[{"op":"replace","path":"/spec/versions/0/storage","value":false},{"op":"replace","path":"/spec/versions/1/storage","value":true}]`), metav1.PatchOptions{}))
	s.eventually(second+" to be what is stored", func() (any, bool) {
		now := hash()
		return now, now != before
	})
}

func TestConvertedByWebhook(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able to convert from CR v1 to CR v2")
	s.definesPlaces()
	s.place("v1", "a", "here", "80")
	read := func(version string) string {
		return told(must[*unstructured.Unstructured](s)(s.things("Place", version).Get(s.Context(), "a", metav1.GetOptions{})))
	}
	if got := read("v2"); got != "v2 a address= host=here port=80" {
		t.Errorf("at v2: %s", got)
	}
	if got := read("v1"); got != "v1 a address=here:80 host= port=" {
		t.Errorf("at v1: %s", got)
	}
}

func TestListOfSeveralStoredVersions(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able to convert a non homogeneous list of CRs")
	s.definesPlaces()
	s.place("v1", "a", "here", "80")
	s.storesSecondVersion("places." + s.customGroup())
	s.place("v2", "b", "there", "81")
	if got, want := s.places("v2", ""), []string{"v2 a address= host=here port=80", "v2 b address= host=there port=81"}; !slices.Equal(got, want) {
		t.Errorf("at v2: %q", got)
	}
	if got, want := s.places("v1", ""), []string{"v1 a address=here:80 host= port=", "v1 b address=there:81 host= port="}; !slices.Equal(got, want) {
		t.Errorf("at v1: %q", got)
	}
}
