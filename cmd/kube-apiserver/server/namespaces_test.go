package server

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A namespace stays Terminating until its finalizers are taken away through the finalize subresource.
func TestNamespaceEnd(t *testing.T) {
	s := serve(t)
	ctx := t.Context()
	namespaces := s.client.CoreV1().Namespaces()
	name := s.namespace(t)
	got, err := namespaces.Get(ctx, name, metav1.GetOptions{})
	if err != nil || got.Status.Phase != corev1.NamespaceActive || got.Labels[corev1.LabelMetadataName] != name ||
		len(got.Spec.Finalizers) != 1 || got.Spec.Finalizers[0] != corev1.FinalizerKubernetes {
		t.Fatalf("new namespace: %+v %v", got, err)
	}
	if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err = namespaces.Get(ctx, name, metav1.GetOptions{}); err != nil || got.Status.Phase != corev1.NamespaceTerminating || got.DeletionTimestamp == nil {
		t.Fatalf("after deletion: %+v %v", got, err)
	}
	_, err = s.client.CoreV1().ConfigMaps(name).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{})
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("creation in a namespace that ends: %v", err)
	}
	if _, err := namespaces.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"finalizers":[]}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err = namespaces.Get(ctx, name, metav1.GetOptions{}); err != nil || len(got.Spec.Finalizers) != 1 {
		t.Fatalf("an ordinary update must not finalize: %+v %v", got, err)
	}
	got.Spec.Finalizers = nil
	if _, err := namespaces.Finalize(ctx, got, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = namespaces.Get(ctx, name, metav1.GetOptions{})
	mustBe(t, "after finalization", err, apierrors.IsNotFound)
}

// System namespaces come back.
func TestSystemNamespaceComesBack(t *testing.T) {
	s := serve(t)
	ctx := t.Context()
	namespaces := s.client.CoreV1().Namespaces()
	before, err := namespaces.Get(ctx, corev1.NamespaceNodeLease, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := namespaces.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + corev1.NamespaceNodeLease, ResourceVersion: before.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if err := namespaces.Delete(ctx, before.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	terminating, err := namespaces.Get(ctx, before.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	terminating.Spec.Finalizers = nil
	if _, err := namespaces.Finalize(ctx, terminating, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for event := range watch.ResultChan() {
		if n, ok := event.Object.(*corev1.Namespace); ok && event.Type == "ADDED" && n.UID != before.UID {
			return
		}
	}
	t.Fatal("the watch ended before the namespace was back")
}

// Custom resources are served as soon as their definition is established, with defaults, validation and status.
func TestCustomResource(t *testing.T) {
	s := serve(t)
	ctx := t.Context()
	ns := s.namespace(t)
	crd := []byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"things.test.example.com"},"spec":{
		"group":"test.example.com","scope":"Namespaced","names":{"kind":"Thing","plural":"things","singular":"thing","shortNames":["th"]},
		"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},"schema":{"openAPIV3Schema":{"type":"object","properties":{
		"spec":{"type":"object","properties":{"size":{"type":"integer","default":3,"minimum":1}}},"status":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}}}]}}`)
	if _, err := s.raw(ctx, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/json", crd); err != nil {
		t.Fatal(err)
	}
	path := "/apis/test.example.com/v1/namespaces/" + ns + "/things"
	eventually(t, "the new API", func(ctx context.Context) error { _, err := s.raw(ctx, "GET", path, "", nil); return err })
	body, err := s.raw(ctx, "POST", path, "application/json", []byte(`{"apiVersion":"test.example.com/v1","kind":"Thing","metadata":{"name":"a"},"spec":{},"status":{"x":1}}`))
	if err != nil || !contains(body, `"size":3`) || contains(body, `"x":1`) {
		t.Errorf("created: %s %v", body, err)
	}
	_, err = s.raw(ctx, "POST", path, "application/json", []byte(`{"apiVersion":"test.example.com/v1","kind":"Thing","metadata":{"name":"b"},"spec":{"size":0}}`))
	mustBe(t, "a value below the minimum", err, apierrors.IsInvalid)
	eventually(t, "its APIService", func(ctx context.Context) error {
		_, err := s.raw(ctx, "GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.test.example.com", "", nil)
		return err
	})
	eventually(t, "its group in discovery", func(ctx context.Context) error {
		_, err := s.client.Discovery().ServerResourcesForGroupVersion("test.example.com/v1")
		return err
	})
}
