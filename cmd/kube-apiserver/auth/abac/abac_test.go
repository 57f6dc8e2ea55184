package abac

import (
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func TestPolicies(t *testing.T) {
	z, err := Parse([]byte(`
# comment
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"alice","namespace":"*","resource":"*","apiGroup":"*"}}
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"bob","namespace":"projectCaribou","resource":"pods","readonly":true}}
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"group":"system:unauthenticated","readonly":true,"nonResourcePath":"/health*"}}
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"*","namespace":"shared","resource":"configmaps"}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, groups, verb, ns, resource, path string
		allow                                  bool
	}{
		{"alice", "", "delete", "x", "pods", "", true},
		{"bob", "", "get", "projectCaribou", "pods", "", true},
		{"bob", "", "delete", "projectCaribou", "pods", "", false},
		{"bob", "", "get", "other", "pods", "", false},
		{"carol", "system:authenticated", "update", "shared", "configmaps", "", true},
		{"carol", "", "update", "shared", "configmaps", "", false},
		{"nobody", "system:unauthenticated", "get", "", "", "/healthz", true},
		{"nobody", "system:unauthenticated", "post", "", "", "/healthz", false},
		{"nobody", "system:unauthenticated", "get", "", "", "/metrics", false},
	} {
		a := authorizer.AttributesRecord{User: &user.DefaultInfo{Name: tc.name, Groups: strings.Fields(tc.groups)}, Verb: tc.verb, Namespace: tc.ns, Resource: tc.resource, Path: tc.path, ResourceRequest: tc.path == ""}
		decision, _, err := z.Authorize(t.Context(), a)
		if err != nil || (decision == authorizer.DecisionAllow) != tc.allow {
			t.Errorf("%+v: %v %v", tc, decision, err)
		}
	}
}

func TestWrongLinesAreNamed(t *testing.T) {
	for line, want := range map[string]string{
		`{"kind":"Policy"}`: "line 1: kind",
		`{`:                 "line 1:",
		`{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"usr":"x"}}`: `unknown field "usr"`,
	} {
		if _, err := Parse([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"*"}}`))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = Parse(data) })
}
