package server

import (
	"strings"
	"testing"

	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Devices are claimed with admin access only where the namespace is labelled for it (KEP-5018).
func TestAdminAccess(t *testing.T) {
	s := serve(t)
	ctx := t.Context()
	name := s.namespace(t)
	admin := true
	spec := resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{
		{Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu.example.com", AdminAccess: &admin}},
	}}}
	create := func() [2]error {
		_, claim := s.client.ResourceV1().ResourceClaims(name).Create(ctx, &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: "monitor"}, Spec: spec}, metav1.CreateOptions{})
		_, template := s.client.ResourceV1().ResourceClaimTemplates(name).Create(ctx, &resourcev1.ResourceClaimTemplate{
			ObjectMeta: metav1.ObjectMeta{Name: "monitor"}, Spec: resourcev1.ResourceClaimTemplateSpec{Spec: spec}}, metav1.CreateOptions{})
		return [2]error{claim, template}
	}
	for i, err := range create() {
		path := []string{"is invalid: spec.devices.requests[0].exactly.adminAccess: Forbidden", "is invalid: spec.spec.devices.requests[0].exactly.adminAccess: Forbidden"}[i]
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("without the label: %v", err)
		}
	}
	label := []byte(`{"metadata":{"labels":{"` + resourcev1.DRAAdminNamespaceLabelKey + `":"true"}}}`)
	if _, err := s.client.CoreV1().Namespaces().Patch(ctx, name, types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, err := range create() {
		if err != nil {
			t.Errorf("with the label: %v", err)
		}
	}
	claims := s.client.ResourceV1().ResourceClaims(name)
	unlabel := []byte(`{"metadata":{"labels":{"` + resourcev1.DRAAdminNamespaceLabelKey + `":null}}}`)
	if _, err := s.client.CoreV1().Namespaces().Patch(ctx, name, types.MergePatchType, unlabel, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	claim, err := claims.Get(ctx, "monitor", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claim.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{
		{Request: "gpu", Driver: "gpu.example.com", Pool: "node", Device: "gpu-0", AdminAccess: &admin},
	}}}
	_, err = claims.UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	if want := "status.allocation.devices.results[0].adminAccess: Forbidden"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("an allocation after the label is gone: %v", err)
	}
}
