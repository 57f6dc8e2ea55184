package conformance

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// labelled is an object of a manifest under the test's label, and name.
func (s *space) labelled(manifest, name string) *unstructured.Unstructured {
	s.Helper()
	object := s.parsed(manifest)
	object.SetName(name)
	object.SetLabels(map[string]string{"operations": s.Namespace})
	return object
}

// patches puts a label on the object and finds it by that label.
func (s *space) patches(client dynamic.ResourceInterface, name string) {
	s.Helper()
	patched := must[*unstructured.Unstructured](s)(client.Patch(s.Context(), name, types.MergePatchType, []byte(`{"metadata":{"labels":{"patched":"true"}}}`), metav1.PatchOptions{}))
	found := must[*unstructured.UnstructuredList](s)(client.List(s.Context(), metav1.ListOptions{LabelSelector: "patched=true,operations=" + s.Namespace}))
	if len(found.Items) != 1 || found.Items[0].GetUID() != patched.GetUID() {
		s.Errorf("a list by the patched label gives %d objects, want %s", len(found.Items), name)
	}
}

// updates puts a label on the object with an update.
func (s *space) updates(client dynamic.ResourceInterface, name string) {
	s.Helper()
	s.eventually("an update of "+name+" without conflict", func() (any, bool) {
		object := must[*unstructured.Unstructured](s)(client.Get(s.Context(), name, metav1.GetOptions{}))
		labels := object.GetLabels()
		labels["updated"] = "true"
		object.SetLabels(labels)
		updated, err := client.Update(s.Context(), object, metav1.UpdateOptions{})
		return err, err == nil && updated.GetLabels()["updated"] == "true"
	})
}

// goes waits until the object is no more.
func (s *space) goes(client dynamic.ResourceInterface, name string) {
	s.Helper()
	s.eventually(name+" to be gone", func() (any, bool) {
		o, err := client.Get(s.Context(), name, metav1.GetOptions{})
		return o, apierrors.IsNotFound(err)
	})
}

func TestLifeOfAVolumeAndItsClaim(t *testing.T) {
	s := behaviour(t, "[sig-storage] PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC")
	volumes, claims := s.resource(coreV1("persistentvolumes"), true), s.resource(coreV1("persistentvolumeclaims"), false)
	ours := metav1.ListOptions{LabelSelector: "operations=" + s.Namespace}
	make := func(name string) {
		s.Helper()
		s.removesLater(coreV1("persistentvolumes"), name)
		must[*unstructured.Unstructured](s)(volumes.Create(s.Context(), s.labelled(`
apiVersion: v1
kind: PersistentVolume
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: SPACE
  persistentVolumeReclaimPolicy: Retain
  csi: {driver: nowhere.example.com, volumeHandle: SPACE}
`, name), metav1.CreateOptions{}))
		must[*unstructured.Unstructured](s)(claims.Create(s.Context(), s.labelled(strings.ReplaceAll(`
apiVersion: v1
kind: PersistentVolumeClaim
spec: {accessModes: [ReadWriteOnce], storageClassName: SPACE, volumeName: VOLUME, resources: {requests: {storage: 1Gi}}}
`, "VOLUME", name), name), metav1.CreateOptions{}))
		for kind, client := range map[string]dynamic.ResourceInterface{"volumes": volumes, "claims": claims} {
			if list := must[*unstructured.UnstructuredList](s)(client.List(s.Context(), ours)); len(list.Items) != 1 {
				t.Errorf("a list gives %d %s of one", len(list.Items), kind)
			}
		}
		s.shows("Bound", "pvc/"+name, ".status.phase")
	}
	first, second := s.Namespace+"-a", s.Namespace+"-b"
	make(first)
	s.patches(volumes, first)
	s.patches(claims, first)
	claim := must[*unstructured.Unstructured](s)(claims.Get(s.Context(), first, metav1.GetOptions{}))
	volume := must[*unstructured.Unstructured](s)(volumes.Get(s.Context(), first, metav1.GetOptions{}))
	if bound, _, _ := unstructured.NestedString(volume.Object, "spec", "claimRef", "uid"); bound != string(claim.GetUID()) {
		t.Errorf("the volume is bound to %q, the claim is %q", bound, claim.GetUID())
	}
	for _, client := range []dynamic.ResourceInterface{claims, volumes} {
		if err := client.Delete(s.Context(), first, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		s.goes(client, first)
	}
	make(second)
	s.updates(volumes, second)
	s.updates(claims, second)
	for _, client := range []dynamic.ResourceInterface{claims, volumes} {
		if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, ours); err != nil {
			t.Fatal(err)
		}
		s.goes(client, second)
	}
}
