package conformance

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const describedSchema = `{type: object, description: A thing of the test, properties: {spec: {type: object, description: What is wanted, properties: {count: {type: integer, description: How many}}}}}`

// publishes waits until OpenAPI v2 and v3 name the kind in this version, or v2 does not.
func (s *space) publishes(kind, version string, wanted bool) {
	s.Helper()
	s.publishesInGroup(s.customGroup(), kind, version, wanted)
}

func (s *space) publishesInGroup(group, kind, version string, wanted bool) {
	s.Helper()
	reversed := strings.Split(group, ".")
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	name := `"` + strings.Join(reversed, ".") + "." + version + "." + kind + `":`
	if wanted { // the library behind /openapi/v3 keeps a version that is not served any more until its definition goes
		s.eventually("OpenAPI v3 of "+name, func() (any, bool) {
			response, text := s.accepting(http.MethodGet, "/openapi/v3/apis/"+group+"/"+version, "application/json", "")
			return response.Status, response.StatusCode == http.StatusOK && strings.Contains(text, name)
		})
	}
	s.eventually("OpenAPI v2 of "+name, func() (any, bool) {
		response, text := s.accepting(http.MethodGet, "/openapi/v2", "application/json", "")
		return response.Status, response.StatusCode == http.StatusOK && strings.Contains(text, name) == wanted
	})
}

// explains waits until kubectl explain prints these texts.
func (s *space) explains(path string, texts ...string) {
	s.Helper()
	s.eventually("kubectl explain "+path, func() (any, bool) {
		out, err := s.tryKubectl("", "explain", path, "--api-version="+s.customGroup()+"/v1")
		if err != nil {
			return err, false
		}
		for _, text := range texts {
			if !strings.Contains(out, text) {
				return out, false
			}
		}
		return out, true
	})
}

// takesUnknown checks that kubectl creates and applies an object with members that no schema names.
func (s *space) takesUnknown(members string) {
	s.Helper()
	for _, verb := range []string{"create", "apply"} {
		if _, err := s.tryKubectl(s.thing("Thing", "v1", "by-"+verb, members), verb, "--validate=strict", "-f", "-"); err != nil {
			s.Error(err)
		}
	}
	if err := s.applied(strings.Replace(members, "1", "2", 1)); err != nil {
		s.Error(err)
	}
}

func TestSchemaPreservingAtRoot(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD preserving unknown fields at the schema root")
	s.defines("Thing", "v1: "+anything)
	s.publishes("Thing", "v1", true)
	s.takesUnknown("never: {heard: 1}\n")
	s.explains("things", "KIND:", "Thing")
}

func TestSchemaPreservingInside(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD preserving unknown fields in an embedded object")
	s.defines("Thing", "v1: {type: object, properties: {spec: {type: object, description: Takes everything, x-kubernetes-preserve-unknown-fields: true}}}")
	s.publishes("Thing", "v1", true)
	s.takesUnknown("spec: {never: {heard: 1}}\n")
	s.explains("things.spec", "Takes everything", "<Object>")
	if _, text := s.accepting(http.MethodGet, "/openapi/v3/apis/"+s.customGroup()+"/v1", "application/json", ""); !strings.Contains(text, `"x-kubernetes-preserve-unknown-fields":true`) {
		t.Error("OpenAPI v3 does not say that unknown fields are preserved")
	}
}

func TestSchemaOfNothing(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for CRD without validation schema")
	s.defines("Thing", "v1: "+anything)
	s.publishes("Thing", "v1", true)
	s.takesUnknown("never: 1\n")
	s.explains("things", "DESCRIPTION:")
}

func TestSchemasOfTwoGroups(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of different groups")
	s.defines("Thing", "v1: "+describedSchema)
	other := s.parsed(strings.ReplaceAll(s.definition("Thing", "v1: "+describedSchema), s.customGroup(), "other."+s.customGroup()))
	must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Create(s.Context(), other, metav1.CreateOptions{}))
	s.removesLater(definitions, other.GetName())
	s.publishes("Thing", "v1", true)
	s.publishesInGroup("other."+s.customGroup(), "Thing", "v1", true)
}

func TestSchemasOfTwoKinds(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of same group and version but different kinds")
	s.defines("Thing", "v1: "+describedSchema)
	s.defines("Matter", "v1: "+describedSchema)
	s.publishes("Thing", "v1", true)
	s.publishes("Matter", "v1", true)
	s.explains("matters.spec", "How many")
}

func TestSchemasOfTwoVersions(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] works for multiple CRDs of same group but different versions")
	s.defines("Thing", "v1: "+describedSchema, "v2: "+describedSchema)
	s.publishes("Thing", "v1", true)
	s.publishes("Thing", "v2", true)
}

func TestSchemaOfARenamedVersion(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] updates the published spec when one version gets renamed")
	s.defines("Thing", "v1: "+describedSchema, "v2: "+describedSchema)
	s.publishes("Thing", "v2", true)
	s.replaceVersions("v1: "+describedSchema, "v3: "+describedSchema)
	s.publishes("Thing", "v3", true)
	s.publishes("Thing", "v2", false)
	s.publishes("Thing", "v1", true)
}

func TestSchemaNoLongerServed(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin] removes definition from spec when one version gets changed to not be served")
	s.defines("Thing", "v1: "+describedSchema, "v2: "+describedSchema)
	s.publishes("Thing", "v2", true)
	must[*unstructured.Unstructured](s)(s.Dynamic.Resource(definitions).Patch(s.Context(), "things."+s.customGroup(), "application/json-patch+json", []byte(`[{"op":"replace","path":"/spec/versions/1/served","value":false}]`), metav1.PatchOptions{}))
	s.publishes("Thing", "v2", false)
	s.publishes("Thing", "v1", true)
}

// replaceVersions gives the definition of Thing other versions.
func (s *space) replaceVersions(versions ...string) {
	s.Helper()
	spec := s.parsed(s.definition("Thing", versions...)).Object["spec"].(map[string]any)
	patch := must[[]byte](s)(json.Marshal(map[string]any{"spec": map[string]any{"versions": spec["versions"]}}))
	s.patchDefinition("things."+s.customGroup(), string(patch))
}
