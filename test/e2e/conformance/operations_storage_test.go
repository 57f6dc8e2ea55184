package conformance

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestLifeOfACSIDriver(t *testing.T) {
	s := behaviour(t, "[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver")
	s.supportsOperations(operations{resource: "csidrivers", clusterWide: true, manifest: `
apiVersion: storage.k8s.io/v1
kind: CSIDriver
spec: {attachRequired: false, volumeLifecycleModes: [Ephemeral]}
`})
}

func TestCSIStorageCapacityOperations(t *testing.T) {
	s := behaviour(t, "[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations")
	s.supportsOperations(operations{resource: "csistoragecapacities", manifest: `
apiVersion: storage.k8s.io/v1
kind: CSIStorageCapacity
storageClassName: nowhere
nodeTopology: {matchLabels: {zone: nowhere}}
capacity: 1Gi
`})
}

func TestLifeOfAVolumeAttributesClass(t *testing.T) {
	s := behaviour(t, "[sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a VolumeAttributesClass")
	s.supportsOperations(operations{resource: "volumeattributesclasses", clusterWide: true, manifest: `
apiVersion: storage.k8s.io/v1
kind: VolumeAttributesClass
driverName: nowhere.example.com
parameters: {iops: "500"}
`})
}

// attachment is a VolumeAttachment that no driver will ever make true.
const attachment = `
apiVersion: storage.k8s.io/v1
kind: VolumeAttachment
spec: {attacher: nowhere.example.com, nodeName: nowhere, source: {persistentVolumeName: nothing}}
`

func TestLifeOfAVolumeAttachment(t *testing.T) {
	s := behaviour(t, "[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment")
	s.supportsOperations(operations{resource: "volumeattachments", clusterWide: true, subresources: []string{"status"}, manifest: attachment, status: `{"attached":true}`})
}

func TestStatusOfAVolumeAttachment(t *testing.T) {
	s := behaviour(t, "[sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status")
	resource := schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "volumeattachments"}
	client := s.Dynamic.Resource(resource)
	object := s.parsed(attachment)
	object.SetName(s.Namespace)
	name := must[*unstructured.Unstructured](s)(client.Create(s.Context(), object, metav1.CreateOptions{})).GetName()
	s.removesLater(resource, name)
	if patched := must[*unstructured.Unstructured](s)(client.Patch(s.Context(), name, types.MergePatchType, []byte(`{"metadata":{"labels":{"patched":"true"}}}`), metav1.PatchOptions{})); patched.GetLabels()["patched"] != "true" {
		t.Errorf("the patched label is not in %v", patched.GetLabels())
	}
	attached := func(o *unstructured.Unstructured) bool {
		is, _, _ := unstructured.NestedBool(o.Object, "status", "attached")
		return is
	}
	if attached(must[*unstructured.Unstructured](s)(client.Get(s.Context(), name, metav1.GetOptions{}, "status"))) {
		t.Error("a new VolumeAttachment is attached")
	}
	patched := must[*unstructured.Unstructured](s)(client.Patch(s.Context(), name, types.MergePatchType, []byte(`{"status":{"attached":true}}`), metav1.PatchOptions{}, "status"))
	if !attached(patched) {
		t.Error("the patch of the status is lost")
	}
	if err := unstructured.SetNestedField(patched.Object, false, "status", "attached"); err != nil {
		t.Fatal(err)
	}
	if attached(must[*unstructured.Unstructured](s)(client.UpdateStatus(s.Context(), patched, metav1.UpdateOptions{}))) {
		t.Error("the update of the status is lost")
	}
	if err := client.Delete(s.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually("the VolumeAttachment to be gone", func() (any, bool) {
		_, err := client.Get(s.Context(), name, metav1.GetOptions{})
		return err, apierrors.IsNotFound(err)
	})
}

func TestInlineVolumeInPods(t *testing.T) {
	s := behaviour(t, "[sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API")
	driver := s.Namespace + ".example.com"
	s.createClusterWide(schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "csidrivers"}, `
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: SPACE.example.com}
spec: {attachRequired: false, volumeLifecycleModes: [Ephemeral]}
`)
	pods := s.resource(coreV1("pods"), false)
	s.create(pods, `
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {inline: "yes"}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, csi: {driver: SPACE.example.com, readOnly: true, volumeAttributes: {colour: blue}}}]
`)
	const of = ".spec.volumes[0].csi"
	if got := s.read("pod/p", of+".driver"); got != driver {
		t.Errorf("the pod's driver is %q, want %q", got, driver)
	}
	if got := s.read("pod/p", of+".volumeAttributes.colour"); got != "blue" {
		t.Errorf("the pod's volume attribute is %q", got)
	}
	if got := s.names("pods", "inline=yes"); len(got) != 1 {
		t.Errorf("a list gives %v", got)
	}
	must[*unstructured.Unstructured](s)(pods.Patch(s.Context(), "p", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"patched":"yes"}}}`), metav1.PatchOptions{}))
	if got := s.names("pods", "patched=yes"); len(got) != 1 {
		t.Errorf("a list by the patched label gives %v", got)
	}
	if err := pods.Delete(s.Context(), "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.hasNone("pods", "inline=yes")
}
