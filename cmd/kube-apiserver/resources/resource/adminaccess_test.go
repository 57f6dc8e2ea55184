package resource

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Only the namespace "admins" has the label that admin access needs.
func namespaces(_ context.Context, name string) (*corev1.Namespace, error) {
	switch name {
	case "admins":
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"resource.kubernetes.io/admin-access": "true"}}}, nil
	case "users":
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"resource.kubernetes.io/admin-access": "false"}}}, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
}

const needsLabel = ": Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"

func TestAdminAccessRequested(t *testing.T) {
	a := adminAccess{namespaces}
	request := func(admin bool) resourcev1.DeviceRequest {
		return resourcev1.DeviceRequest{Exactly: &resourcev1.ExactDeviceRequest{AdminAccess: &admin}}
	}
	plain := []resourcev1.DeviceRequest{{FirstAvailable: []resourcev1.DeviceSubRequest{{}}}, {Exactly: &resourcev1.ExactDeviceRequest{}}, request(false)}
	for _, tt := range []struct {
		name, namespace string
		requests        []resourcev1.DeviceRequest
		want            string
	}{
		{"none", "users", plain, ""},
		{"in a labelled namespace", "admins", append(plain, request(true)), ""},
		{"elsewhere", "users", append(plain, request(true)), "spec.devices.requests[3].exactly.adminAccess" + needsLabel},
		{"nowhere", "gone", []resourcev1.DeviceRequest{request(true)}, `spec.devices.requests[0].exactly.adminAccess: Forbidden: reading the labels of namespace gone: namespaces "gone" not found`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, a.requested(t.Context(), tt.namespace, tt.requests, field.NewPath("spec", "devices", "requests")), tt.want)
		})
	}
}

// An allocation that has admin access already is kept when the namespace loses its label.
func TestAdminAccessGranted(t *testing.T) {
	a := adminAccess{namespaces}
	yes := true
	plain := &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{{}}}}
	admin := &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{{}, {AdminAccess: &yes}}}}
	for _, tt := range []struct {
		name, namespace string
		now, before     *resourcev1.AllocationResult
		want            string
	}{
		{"none", "users", plain, nil, ""},
		{"in a labelled namespace", "admins", admin, nil, ""},
		{"elsewhere", "users", admin, plain, "status.allocation.devices.results[1].adminAccess" + needsLabel},
		{"kept", "users", admin, admin, ""},
		{"taken back", "users", nil, admin, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, a.granted(t.Context(), tt.namespace, tt.now, tt.before), tt.want)
		})
	}
}

func expect(t *testing.T, errs field.ErrorList, want string) {
	t.Helper()
	got := ""
	if err := errs.ToAggregate(); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
