package conformance

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

var appsV1, batchV1, policyV1 = schema.GroupVersion{Group: "apps", Version: "v1"}, schema.GroupVersion{Group: "batch", Version: "v1"}, schema.GroupVersion{Group: "policy", Version: "v1"}

// template is a pod template in flow style for manifests: pods with label app that run a shell command.
func template(app, command string) string {
	return fmt.Sprintf(`{metadata: {labels: {app: %s}}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: IMAGE, command: [sh, -c, %q]}]}}`, app, command)
}

// shows waits until a JSONPath of the object prints want.
func (s *space) shows(want, object, path string) {
	s.Helper()
	s.eventually(fmt.Sprintf("%s of %s to be %q", path, object, want), func() (any, bool) {
		out, err := s.tryRead(object, path)
		if err != nil {
			return err, false
		}
		return out, out == want
	})
}

// hasNone waits until no object of the resource has the label.
func (s *space) hasNone(resource, label string) {
	s.Helper()
	s.eventually("no "+resource+" with "+label+" to be there", func() (any, bool) {
		left := s.names(resource, label)
		return left, len(left) == 0
	})
}

// scales reads, updates and patches the scale subresource of an object that has one replica.
func (s *space) scales(gvr schema.GroupVersionResource, name string) {
	s.Helper()
	client := s.resource(gvr, false)
	replicas := func(o *unstructured.Unstructured) int64 {
		n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
		return n
	}
	scale := must[*unstructured.Unstructured](s)(client.Get(s.Context(), name, metav1.GetOptions{}, "scale"))
	if scale.GetKind() != "Scale" || replicas(scale) != 1 {
		s.Errorf("the scale is a %s with %d replicas, want 1", scale.GetKind(), replicas(scale))
	}
	if err := unstructured.SetNestedField(scale.Object, int64(2), "spec", "replicas"); err != nil {
		s.Fatal(err)
	}
	if updated := must[*unstructured.Unstructured](s)(client.Update(s.Context(), scale, metav1.UpdateOptions{}, "scale")); replicas(updated) != 2 {
		s.Errorf("the updated scale has %d replicas, want 2", replicas(updated))
	}
	s.shows("2", gvr.Resource+"/"+name, ".status.readyReplicas")
	if patched := must[*unstructured.Unstructured](s)(client.Patch(s.Context(), name, types.MergePatchType, []byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{}, "scale")); replicas(patched) != 3 {
		s.Errorf("the patched scale has %d replicas, want 3", replicas(patched))
	}
	s.shows("3", gvr.Resource+"/"+name, ".spec.replicas")
}

// keepsStatus reads, updates and patches the status subresource of an object with a condition of the test's own.
func (s *space) keepsStatus(gvr schema.GroupVersionResource, name string) {
	s.Helper()
	s.keepsStatusAt(s.resource(gvr, false), name)
}

func (s *space) keepsStatusAt(client dynamic.ResourceInterface, name string) {
	s.Helper()
	condition := func(kind string) map[string]any {
		return map[string]any{"type": kind, "status": "True", "reason": "E2E", "message": "set by a test", "lastTransitionTime": "2026-01-01T00:00:00Z"}
	}
	has := func(o *unstructured.Unstructured, kind string) bool {
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, c := range conditions {
			if m, ok := c.(map[string]any); ok && m["type"] == kind {
				return true
			}
		}
		return false
	}
	s.eventually("an update of the status without conflict", func() (any, bool) {
		now := must[*unstructured.Unstructured](s)(client.Get(s.Context(), name, metav1.GetOptions{}, "status"))
		conditions, _, _ := unstructured.NestedSlice(now.Object, "status", "conditions")
		if err := unstructured.SetNestedSlice(now.Object, append(conditions, condition("StatusUpdated")), "status", "conditions"); err != nil {
			s.Fatal(err)
		}
		updated, err := client.UpdateStatus(s.Context(), now, metav1.UpdateOptions{})
		return err, err == nil && has(updated, "StatusUpdated")
	})
	if now := must[*unstructured.Unstructured](s)(client.Get(s.Context(), name, metav1.GetOptions{}, "status")); !has(now, "StatusUpdated") {
		s.Errorf("the updated status is not there: %v", now.Object["status"])
	}
	patch := []byte(`{"status":{"conditions":[{"type":"StatusPatched","status":"True","reason":"E2E","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`)
	if patched := must[*unstructured.Unstructured](s)(client.Patch(s.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")); !has(patched, "StatusPatched") {
		s.Errorf("the patched status is not there: %v", patched.Object["status"])
	}
}

// deletesCollection lists two objects by label and deletes them together.
func (s *space) deletesCollection(gvr schema.GroupVersionResource, label string, count int) {
	s.Helper()
	if got := s.names(gvr.Resource+"."+gvr.Group, label); len(got) != count {
		s.Errorf("%v have the label %s, want %d", got, label, count)
	}
	if err := s.resource(gvr, false).DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: label}); err != nil {
		s.Fatal(err)
	}
	s.hasNone(gvr.Resource+"."+gvr.Group, label)
}

// coreV1 is a resource of the core group.
func coreV1(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}
