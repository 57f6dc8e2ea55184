package conformance

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestRuntimeClassOperations(t *testing.T) {
	s := behaviour(t, "[sig-node] RuntimeClass should support RuntimeClasses API operations")
	s.supportsOperations(operations{resource: "runtimeclasses", clusterWide: true, manifest: `
apiVersion: node.k8s.io/v1
kind: RuntimeClass
handler: nowhere
`})
}

func TestDeviceClassOperations(t *testing.T) {
	s := behaviour(t, "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass")
	s.supportsOperations(operations{resource: "deviceclasses", clusterWide: true, manifest: `
apiVersion: resource.k8s.io/v1
kind: DeviceClass
spec: {selectors: [{cel: {expression: "device.driver == 'nowhere.example.com'"}}]}
`})
}

func TestResourceClaimOperations(t *testing.T) {
	s := behaviour(t, "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaim")
	s.supportsOperations(operations{resource: "resourceclaims", subresources: []string{"status"}, manifest: `
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
spec: {devices: {requests: [{name: one, exactly: {deviceClassName: nowhere}}]}}
`, status: `{"allocation":{"devices":{"results":[{"request":"one","driver":"nowhere.example.com","pool":"p","device":"d"}]}}}`})
}

func TestResourceClaimTemplateOperations(t *testing.T) {
	s := behaviour(t, "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate")
	s.supportsOperations(operations{resource: "resourceclaimtemplates", manifest: `
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
spec: {spec: {devices: {requests: [{name: one, exactly: {deviceClassName: nowhere}}]}}}
`})
}

func TestResourceSliceOperations(t *testing.T) {
	s := behaviour(t, "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceSlice")
	s.supportsOperations(operations{resource: "resourceslices", clusterWide: true, manifest: `
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
spec: {driver: nowhere.example.com, nodeName: nowhere, pool: {name: p, generation: 1, resourceSliceCount: 3}, devices: [{name: d}]}
`})
}

// podTemplates are the operations of PodTemplates.
func podTemplates() operations {
	return operations{resource: "podtemplates", manifest: `
apiVersion: v1
kind: PodTemplate
template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: IMAGE}]}}
`}
}

func TestLifeOfAPodTemplate(t *testing.T) {
	s := behaviour(t, "[sig-node] PodTemplates should run the lifecycle of PodTemplates")
	s.supportsOperations(podTemplates())
}

func TestReplacedPodTemplate(t *testing.T) {
	s := behaviour(t, "[sig-node] PodTemplates should replace a pod template")
	client := s.Client.CoreV1().PodTemplates(s.Namespace)
	must[*unstructured.Unstructured](s)(s.resource(coreV1("podtemplates"), false).Create(s.Context(), s.labelled(podTemplates().manifest, "t"), metav1.CreateOptions{}))
	template, err := client.Get(s.Context(), "t", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	template.Annotations = map[string]string{"updated": "true"}
	if _, err := client.Update(s.Context(), template, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := s.read("podtemplate/t", ".metadata.annotations.updated"); got != "true" {
		t.Errorf("the replaced template's annotation is %q", got)
	}
}

func TestCollectionOfPodTemplates(t *testing.T) {
	s := behaviour(t, "[sig-node] PodTemplates should delete a collection of pod templates")
	client := s.resource(coreV1("podtemplates"), false)
	for _, name := range []string{"a", "b", "c"} {
		must[*unstructured.Unstructured](s)(client.Create(s.Context(), s.labelled(podTemplates().manifest, name), metav1.CreateOptions{}))
	}
	label := "operations=" + s.Namespace
	if got := s.names("podtemplates", label); len(got) != 3 {
		t.Fatalf("a list gives %v", got)
	}
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: label}); err != nil {
		t.Fatal(err)
	}
	s.hasNone("podtemplates", label)
}

func TestLeases(t *testing.T) {
	s := behaviour(t, "[sig-node] Lease lease API should be available")
	client := s.Client.CoordinationV1().Leases(s.Namespace)
	holder, seconds, changes := "one", int32(30), int32(0)
	now := metav1.NewMicroTime(time.Now().Truncate(time.Microsecond))
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lease"}, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: &holder, LeaseDurationSeconds: &seconds, LeaseTransitions: &changes, AcquireTime: &now, RenewTime: &now,
	}}
	reads := func(what string, want coordinationv1.LeaseSpec) *coordinationv1.Lease {
		t.Helper()
		got := must[*coordinationv1.Lease](s)(client.Get(s.Context(), "lease", metav1.GetOptions{}))
		if !equality.Semantic.DeepEqual(got.Spec, want) {
			t.Errorf("%s: the lease is %v, want %v", what, got.Spec, want)
		}
		return got
	}
	must[*coordinationv1.Lease](s)(client.Create(s.Context(), lease, metav1.CreateOptions{}))
	lease = reads("created", lease.Spec)
	other, more := "two", int32(60)
	later := metav1.NewMicroTime(now.Add(time.Second))
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &other, &more, &later
	must[*coordinationv1.Lease](s)(client.Update(s.Context(), lease, metav1.UpdateOptions{}))
	lease = reads("updated", lease.Spec)
	must[*coordinationv1.Lease](s)(client.Patch(s.Context(), "lease", types.StrategicMergePatchType, []byte(`{"spec":{"leaseTransitions":1}}`), metav1.PatchOptions{}))
	changed := int32(1)
	lease.Spec.LeaseTransitions = &changed
	reads("patched", lease.Spec)

	label := metav1.ListOptions{LabelSelector: "of=" + s.Namespace}
	must[*coordinationv1.Lease](s)(client.Create(s.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "second", Labels: map[string]string{"of": s.Namespace}}, Spec: lease.Spec}, metav1.CreateOptions{}))
	if list := must[*coordinationv1.LeaseList](s)(client.List(s.Context(), metav1.ListOptions{})); len(list.Items) != 2 {
		t.Errorf("a list gives %d leases of 2", len(list.Items))
	}
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, label); err != nil {
		t.Fatal(err)
	}
	if list := must[*coordinationv1.LeaseList](s)(client.List(s.Context(), metav1.ListOptions{})); len(list.Items) != 1 || list.Items[0].Name != "lease" {
		t.Errorf("after the deletion by label a list gives %v", list.Items)
	}
	if err := client.Delete(s.Context(), "lease", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(s.Context(), "lease", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a deleted lease: %v", err)
	}
}
