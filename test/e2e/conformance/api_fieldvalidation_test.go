package conformance

import (
	"strings"
	"testing"
)

// strictSchema has spec.count, an integer, and spec.template, an embedded object.
const strictSchema = `{type: object, properties: {spec: {type: object, properties: {count: {type: integer, minimum: 1}, template: {type: object, x-kubernetes-embedded-resource: true, properties: {spec: {type: object}}}}}}}`

// applied is what kubectl apply --validate=strict says to a custom object.
func (s *space) applied(members string) error {
	_, err := s.tryKubectl(s.thing("Thing", "v1", "one", members), "apply", "--validate=strict", "-f", "-")
	return err
}

// refuses checks that the object is refused with this text.
func (s *space) refuses(members, text string) {
	s.Helper()
	if err := s.applied(members); err == nil || !strings.Contains(err.Error(), text) {
		s.Errorf("%s: refused with %v, not with %q", members, err, text)
	}
}

func TestValidCustomObject(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] FieldValidation should create/apply a valid CR for CRD with validation schema")
	s.defines("Thing", "v1: "+strictSchema)
	if err := s.applied("spec: {count: 1}"); err != nil {
		t.Fatal(err)
	}
	if err := s.applied("spec: {count: 2}"); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownFieldsWithoutSchema(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] FieldValidation should create/apply a CR with unknown fields for CRD with no validation schema")
	s.defines("Thing", "v1: "+anything)
	if err := s.applied("spec: {never: heard}\nof: it"); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownFieldsWithSchema(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] FieldValidation should create/apply an invalid CR with extra properties for CRD with validation schema")
	s.defines("Thing", "v1: "+strictSchema)
	s.refuses("spec: {count: 1, never: heard}", `unknown field "spec.never"`)
	s.refuses("spec: {count: 0}", "spec.count")
}

func TestDuplicateFields(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] FieldValidation should detect duplicates in a CR when preserving unknown fields")
	s.defines("Thing", "v1: "+anything)
	response, text := s.accepting("POST", "/apis/"+s.customGroup()+"/v1/namespaces/"+s.Namespace+"/things?fieldValidation=Strict", "application/json",
		`{"apiVersion":"`+s.customGroup()+`/v1","kind":"Thing","metadata":{"name":"one"},"spec":{"twice":1,"twice":2}}`)
	if response.StatusCode != 400 || !strings.Contains(text, `duplicate field \"spec.twice\"`) {
		t.Errorf("%s: %s", response.Status, text)
	}
}

func TestUnknownMetadata(t *testing.T) {
	s := behaviour(t, "[sig-api-machinery] FieldValidation should detect unknown metadata fields in both the root and embedded object of a CR")
	s.defines("Thing", "v1: "+strictSchema)
	manifest := "apiVersion: " + s.customGroup() + "/v1\nkind: Thing\nmetadata: {name: one, unknownMeta: root}\nspec: {template: {apiVersion: v1, kind: Pod, metadata: {name: p, unknownSubMeta: sub}, spec: {}}}\n"
	_, err := s.tryKubectl(manifest, "apply", "--validate=strict", "-f", "-")
	for _, text := range []string{"metadata.unknownMeta", "spec.template.metadata.unknownSubMeta"} {
		if err == nil || !strings.Contains(err.Error(), `unknown field "`+text+`"`) {
			t.Errorf("refused with %v, without %s", err, text)
		}
	}
}
