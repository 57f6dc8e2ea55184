package smoke

import (
	"strings"
	"testing"
)

// TestRolesBindTheirSubjects: a user with a Role may do just that; a node's name reaches its own objects alone.
func TestRolesBindTheirSubjects(t *testing.T) {
	s := newSpace(t)
	s.must("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
	s.must("create", "rolebinding", "ann-reads", "--role=reader", "--user=ann")
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"yes", []string{"list", "configmaps", "--as=ann"}},
		{"no", []string{"delete", "configmaps", "--as=ann"}},
		{"no", []string{"list", "secrets", "--as=ann"}},
		{"no", []string{"list", "configmaps", "--as=ann", "--namespace=default"}},
		{"yes", []string{"update", "nodes/worker-1", "--subresource=status", "--as=system:node:worker-1", "--as-group=system:nodes"}},
	} {
		out, _ := s.try(append([]string{"auth", "can-i"}, tt.args...)...)
		if !strings.HasPrefix(strings.TrimSpace(out), tt.want) {
			t.Errorf("can-i %v: %q, want %s", tt.args, out, tt.want)
		}
	}
	if _, err := s.try("label", "node", "control-plane", "x=y", "--as=system:node:worker-1", "--as-group=system:nodes"); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("a node may change another node: %v", err)
	}
	if token := s.must("create", "token", "default"); strings.Count(token, ".") != 2 {
		t.Errorf("no token: %q", token)
	}
}

// TestCustomResources: a schema with defaults, a status subresource, and a policy.
func TestCustomResources(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.smoke.pilotis.dev}
spec:
  group: smoke.pilotis.dev
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {masts: {type: integer, minimum: 1, default: 2}}}
          status: {type: object, properties: {afloat: {type: boolean}}}
`)
	t.Cleanup(func() { _, _ = s.try("delete", "crd", "boats.smoke.pilotis.dev", "--wait=false") })
	s.must("wait", "--for=condition=Established", "crd/boats.smoke.pilotis.dev", "--timeout=60s")
	s.until("boats to be served", func() (string, bool) {
		_, err := s.tryWith("apiVersion: smoke.pilotis.dev/v1\nkind: Boat\nmetadata: {name: b}\nspec: {}\nstatus: {afloat: true}\n", "apply", "-f", "-")
		return "", err == nil
	})
	if out := s.must("get", "boat", "b", "-o", "jsonpath={.spec.masts} {.status}"); out != "2" {
		t.Errorf("spec.masts and status: %q, want the default and no status", out)
	}
	s.must("patch", "boat", "b", "--subresource=status", "--type=merge", "-p", `{"status":{"afloat":true}}`)
	if _, err := s.try("patch", "boat", "b", "--type=merge", "-p", `{"spec":{"masts":0}}`); err == nil || !strings.Contains(err.Error(), "spec.masts") {
		t.Errorf("masts: 0 gives %v", err)
	}
	s.must("explain", "boat.spec.masts")
}
