package server

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// A manifest with several faults is refused with all of them, and nothing is stored.
func TestInvalidManifest(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	bad := pod("Bad_Name")
	bad.Spec.RestartPolicy = "Sometimes"
	bad.Spec.Containers[0].Image = ""
	bad.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 99999}}
	bad.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
	_, err := s.client.CoreV1().Pods(ns).Create(t.Context(), bad, metav1.CreateOptions{})
	mustBe(t, "creation", err, apierrors.IsInvalid)
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatal(err)
	}
	var fields []string
	for _, cause := range status.Status().Details.Causes {
		fields = append(fields, cause.Field)
	}
	for _, want := range []string{
		"metadata.name", "spec.restartPolicy", "spec.containers[0].image", "spec.containers[0].ports[0].containerPort",
		"spec.containers[0].securityContext.privileged",
	} {
		if !slices.Contains(fields, want) {
			t.Errorf("%s is not among the faults %v", want, fields)
		}
	}
	if got, err := s.etcd.Get(t.Context(), "/registry/pods/"+ns+"/Bad_Name"); err != nil || len(got.Kvs) != 0 {
		t.Errorf("stored: %v %v", got, err)
	}
}

// What a workload is made of cannot be changed under way.
func TestImmutableFields(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	got, err := s.client.CoreV1().Pods(ns).Create(t.Context(), pod("p"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got.Spec.Containers[0].Command = []string{"other"}
	_, err = s.client.CoreV1().Pods(ns).Update(t.Context(), got, metav1.UpdateOptions{})
	mustBe(t, "another command", err, apierrors.IsInvalid)
	got.Spec.Containers[0].Command, got.Spec.Containers[0].Image = nil, "example.com/image:2"
	if _, err = s.client.CoreV1().Pods(ns).Update(t.Context(), got, metav1.UpdateOptions{}); err != nil {
		t.Errorf("another image: %v", err)
	}
	if _, err := s.client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Immutable: ptr.To(true)}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = s.client.CoreV1().ConfigMaps(ns).Update(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"a": "b"}}, metav1.UpdateOptions{})
	mustBe(t, "an immutable configmap", err, apierrors.IsInvalid)
}
