package storageversion_test

import (
	"testing"
	"testing/synctest"

	internalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/cmd/kube-controller-manager/controllers/storageversion"
)

// TestWhatServersThatAreGoneReported leaves the status; without a server left the StorageVersion goes.
func TestWhatServersThatAreGoneReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		lease := func(name string) *coordinationv1.Lease {
			return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name, Labels: map[string]string{"apiserver.kubernetes.io/identity": "kube-apiserver"}}}
		}
		reports := func(server, version string) internalv1alpha1.ServerStorageVersion {
			return internalv1alpha1.ServerStorageVersion{APIServerID: server, EncodingVersion: version, DecodableVersions: []string{"v1", "v2"}}
		}
		l.Seed(lease("old"), lease("new"), &internalv1alpha1.StorageVersion{ObjectMeta: metav1.ObjectMeta{Name: "example.com.things"}, Status: internalv1alpha1.StorageVersionStatus{
			StorageVersions: []internalv1alpha1.ServerStorageVersion{reports("long-gone", "v1"), reports("old", "v1"), reports("new", "v2")},
		}})
		l.Run(t, storageversion.New(l.Informers, l.Client))
		status := func() internalv1alpha1.StorageVersionStatus {
			synctest.Wait()
			v, err := l.Client.InternalV1alpha1().StorageVersions().Get(t.Context(), "example.com.things", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return v.Status
		}
		if s := status(); len(s.StorageVersions) != 2 || s.CommonEncodingVersion != nil {
			t.Errorf("of three servers, of which one is gone: %+v", s)
		}
		stop := func(name string) {
			if err := l.Client.CoordinationV1().Leases("kube-system").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		stop("old")
		if s := status(); len(s.StorageVersions) != 1 || s.CommonEncodingVersion == nil || *s.CommonEncodingVersion != "v2" {
			t.Errorf("of the server that is left: %+v", s)
		}
		stop("new")
		synctest.Wait()
		if _, err := l.Client.InternalV1alpha1().StorageVersions().Get(t.Context(), "example.com.things", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("without a server: %v", err)
		}
	})
}
