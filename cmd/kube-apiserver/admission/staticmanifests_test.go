package admission

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func manifests(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "m.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const staticWebhook = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard.static.k8s.io}
webhooks:
- name: guard.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {url: "https://127.0.0.1:9/"}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`

const staticPolicy = `
apiVersion: v1
kind: List
items:
- apiVersion: admissionregistration.k8s.io/v1
  kind: ValidatingAdmissionPolicy
  metadata: {name: few.static.k8s.io}
  spec:
    matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
    validations: [{expression: "object.spec.replicas < 5"}]
- apiVersion: admissionregistration.k8s.io/v1
  kind: ValidatingAdmissionPolicyBinding
  metadata: {name: few.static.k8s.io}
  spec: {policyName: few.static.k8s.io, validationActions: [Deny]}
`

func TestStaticManifests(t *testing.T) {
	m, err := newStaticManifests()
	if err != nil {
		t.Fatal(err)
	}
	load := m.loaders()
	hooks, hash, err := load.LoadValidatingWebhookManifests(manifests(t, staticWebhook))
	if err != nil || len(hooks) != 1 || hash == "" {
		t.Fatalf("got %d webhooks, hash %q, %v", len(hooks), hash, err)
	}
	if w := hooks[0].Webhooks[0]; w.FailurePolicy == nil || *w.TimeoutSeconds != 10 {
		t.Errorf("defaults are missing: %+v", w)
	}
	policies, bindings, _, err := load.LoadValidatingPolicyManifests(manifests(t, staticPolicy))
	if err != nil || len(policies) != 1 || len(bindings) != 1 {
		t.Fatalf("got %d policies and %d bindings, %v", len(policies), len(bindings), err)
	}
}

func TestWrongStaticManifestsAreNamed(t *testing.T) {
	m, err := newStaticManifests()
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = m.loaders().LoadValidatingPolicyManifests(manifests(t, strings.Replace(staticPolicy, "replicas < 5", "replicas <", 1)))
	if err == nil || !strings.Contains(err.Error(), "spec.validations[0].expression") {
		t.Errorf("wrong expression: %v", err)
	}
	for name, tc := range map[string]struct{ content, want string }{
		"unknown field": {strings.Replace(staticWebhook, "sideEffects", "sideeffect", 1), `unknown field "webhooks[0].sideeffect"`},
		"fault":         {strings.Replace(staticWebhook, "sideEffects: None", "sideEffects: Some", 1), "webhooks[0].sideEffects"},
		"another kind":  {"apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: x.static.k8s.io}\n", "unrecognized resource type"},
		"no kind":       {"a: b\n", "Object 'Kind' is missing"},
	} {
		_, _, err := m.loaders().LoadValidatingWebhookManifests(manifests(t, tc.content))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "m.yaml") {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}
