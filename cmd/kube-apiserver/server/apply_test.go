package server

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const appliedDeployment = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},
	"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"example.com/i"}]}}},"status":{"replicas":9}}`

// Two appliers own what each said; the second is told of a conflict before it takes a field over.
func TestServerSideApply(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	api := s.client.AppsV1().Deployments(ns)
	apply := func(manager, body string, force bool, subresource ...string) (*appsv1.Deployment, error) {
		return api.Patch(t.Context(), "d", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: manager, Force: ptr.To(force)}, subresource...)
	}
	got, err := apply("first", appliedDeployment, false)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.Replicas != 0 || strings.Contains(got.ManagedFields[0].FieldsV1.String(), "f:status") {
		t.Errorf("an applier of the main resource set the status: %+v, owns %s", got.Status, got.ManagedFields[0].FieldsV1)
	}
	three := strings.Replace(appliedDeployment, `"replicas":2`, `"replicas":3`, 1)
	_, err = apply("second", three, false)
	mustBe(t, "a conflicting apply", err, apierrors.IsConflict)
	if got, err = apply("second", three, true); err != nil || *got.Spec.Replicas != 3 || got.Generation != 2 {
		t.Fatalf("forced: %+v %v", got, err)
	}
	if got, err = apply("controller", appliedDeployment, true, "status"); err != nil || got.Status.Replicas != 9 || *got.Spec.Replicas != 3 {
		t.Errorf("status: %+v %v", got.Status, err)
	}
}

// A patch that does not fit the kind is the client's fault, and the answer names the field.
func TestPatchOfAnotherShape(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	api := s.client.AppsV1().Deployments(ns)
	apply := metav1.PatchOptions{FieldManager: "user"}
	if _, err := api.Patch(t.Context(), "d", types.ApplyPatchType, []byte(appliedDeployment), apply); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		as          types.PatchType
		patch, want string
		options     metav1.PatchOptions
		subresource []string
	}{
		"number":    {types.ApplyPatchType, strings.Replace(appliedDeployment, `"replicas":2`, `"replicas":"two"`, 1), ".spec.replicas", apply, nil},
		"status":    {types.ApplyPatchType, strings.Replace(appliedDeployment, `"replicas":9`, `"replicas":"two"`, 1), ".status.replicas", apply, []string{"status"}},
		"new":       {types.ApplyPatchType, strings.NewReplacer(`"d"`, `"new"`, `"replicas":2`, `"replicas":[]`).Replace(appliedDeployment), ".spec.replicas", apply, nil},
		"directive": {types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"$setElementOrder/contaRners":[{"name":"a"}]}}}}`, "contaRners", metav1.PatchOptions{}, nil},
	} {
		object := "d"
		if name == "new" {
			object = name
		}
		_, err := api.Patch(t.Context(), object, c.as, []byte(c.patch), c.options, c.subresource...)
		mustBe(t, name, err, apierrors.IsBadRequest)
		if err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not name %s", name, err, c.want)
		}
	}
}

// The scale subresource changes the number and remembers who did.
func TestScale(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	api := s.client.AppsV1().Deployments(ns)
	if _, err := api.Patch(t.Context(), "d", types.ApplyPatchType, []byte(appliedDeployment), metav1.PatchOptions{FieldManager: "user"}); err != nil {
		t.Fatal(err)
	}
	scale, err := api.GetScale(t.Context(), "d", metav1.GetOptions{})
	if err != nil || scale.Spec.Replicas != 2 || scale.Status.Selector != "a=b" {
		t.Fatalf("scale: %+v %v", scale, err)
	}
	scale.Spec.Replicas = 4
	if scale, err = api.UpdateScale(t.Context(), "d", scale, metav1.UpdateOptions{FieldManager: "scaler"}); err != nil || scale.Spec.Replicas != 4 {
		t.Fatalf("scaled: %+v %v", scale, err)
	}
	scale.ResourceVersion = "1"
	_, err = api.UpdateScale(t.Context(), "d", scale, metav1.UpdateOptions{})
	mustBe(t, "a stale scale", err, apierrors.IsConflict)
	scale.ResourceVersion, scale.UID = "", "another"
	_, err = api.UpdateScale(t.Context(), "d", scale, metav1.UpdateOptions{})
	mustBe(t, "the scale of another deployment", err, apierrors.IsConflict)
	got, err := api.Get(t.Context(), "d", metav1.GetOptions{})
	if err != nil || *got.Spec.Replicas != 4 || got.Generation != 2 {
		t.Fatalf("deployment: %+v %v", got, err)
	}
	owned := false
	for _, m := range got.ManagedFields {
		owned = owned || m.Manager == "scaler" && m.Subresource == "scale" && strings.Contains(m.FieldsV1.String(), "f:replicas")
	}
	if !owned {
		t.Errorf("nobody owns the number: %v", got.ManagedFields)
	}
	// Who applied the number before is told of the conflict.
	_, err = api.Patch(t.Context(), "d", types.ApplyPatchType, []byte(appliedDeployment), metav1.PatchOptions{FieldManager: "user"})
	mustBe(t, "apply after scale", err, apierrors.IsConflict)
}

// Patches of every kind work, and fields nobody knows are refused when the client asks for it.
func TestPatchesAndStrictness(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	api := s.client.CoreV1().ConfigMaps(ns)
	if _, err := api.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"a": "1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for kind, body := range map[types.PatchType]string{
		types.JSONPatchType:           `[{"op":"add","path":"/data/json","value":"1"}]`,
		types.MergePatchType:          `{"data":{"merge":"1"}}`,
		types.StrategicMergePatchType: `{"data":{"strategic":"1"}}`,
	} {
		if _, err := api.Patch(t.Context(), "c", kind, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	got, err := api.Get(t.Context(), "c", metav1.GetOptions{})
	if err != nil || len(got.Data) != 4 {
		t.Errorf("after all patches: %v %v", got.Data, err)
	}
	path := "/api/v1/namespaces/" + ns + "/configmaps?fieldValidation="
	body := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"strict"},"dataa":{}}`)
	if _, err := s.raw(t.Context(), "POST", path+"Strict", "application/json", body); err == nil {
		t.Error("an unknown field was accepted under strict validation")
	}
	if _, err := s.raw(t.Context(), "POST", path+"Ignore", "application/json", body); err != nil {
		t.Error(err)
	}
	mustBe(t, "deletion of another object of that name", api.Delete(t.Context(), "c", *metav1.NewPreconditionDeleteOptions("other")), apierrors.IsConflict)
}

// Who applies a status owns it, and not what a status update cannot change.
func TestAppliersOfStatusOwnTheStatus(t *testing.T) {
	s := serve(t)
	ns, ctx := s.namespace(t), t.Context()
	deployments, pods := s.client.AppsV1().Deployments(ns), s.client.CoreV1().Pods(ns)
	if _, err := deployments.Patch(ctx, "d", types.ApplyPatchType, []byte(appliedDeployment), metav1.PatchOptions{FieldManager: "user"}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Create(ctx, pod("p"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	owned := func(fields []metav1.ManagedFieldsEntry) string {
		for _, m := range fields {
			if m.Manager == "observer" {
				return m.FieldsV1.String()
			}
		}
		return ""
	}
	options := metav1.PatchOptions{FieldManager: "observer", Force: ptr.To(true)}
	body := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"b"}},"spec":{"paused":true},"status":{"replicas":9}}`
	d, err := deployments.Patch(ctx, "d", types.ApplyPatchType, []byte(body), options, "status")
	if err != nil {
		t.Fatal(err)
	}
	if got := owned(d.ManagedFields); got != `{"f:status":{"f:replicas":{}}}` {
		t.Errorf("deployment: the applier owns %s", got)
	}
	body = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"1"}]},"status":{"message":"m"}}`
	p, err := pods.Patch(ctx, "p", types.ApplyPatchType, []byte(body), options, "status")
	if err != nil {
		t.Fatal(err)
	}
	if got := owned(p.ManagedFields); got != `{"f:status":{"f:message":{}}}` {
		t.Errorf("pod: the applier owns %s", got)
	}
}
