package trustbundle_test

import (
	"strings"
	"testing"
	"testing/synctest"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesinformers "k8s.io/client-go/informers/certificates/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/cmd/kube-controller-manager/controllers/trustbundle"
)

func bundle(name, signer, ca string) *certificatesv1.ClusterTrustBundle {
	return &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: ca}}
}

// TestTheBundleOfTheAuthority: a new authority replaces the former one, what somebody changed is put right, other signers are left alone.
func TestTheBundleOfTheAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(bundle("kubernetes.io:kube-apiserver-serving:former", trustbundle.Signer, "former"), bundle("example.com:x:1", "example.com/x", "x"))
		inf := certificatesinformers.NewClusterTrustBundleInformer(l.Client, 0, nil)
		l.Run(t, trustbundle.New(inf, l.Client, "present"), inf)
		api := l.Client.CertificatesV1().ClusterTrustBundles()
		there := func() (ours []certificatesv1.ClusterTrustBundle) {
			synctest.Wait()
			list, err := api.List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range list.Items {
				if b.Spec.SignerName == trustbundle.Signer {
					ours = append(ours, b)
				}
			}
			if len(list.Items) != len(ours)+1 {
				t.Error("the bundle of another signer is gone")
			}
			return ours
		}
		ours := there()
		if len(ours) != 1 || ours[0].Spec.TrustBundle != "present" || !strings.HasPrefix(ours[0].Name, "kubernetes.io:kube-apiserver-serving:") {
			t.Fatalf("bundles: %v", ours)
		}
		ours[0].Spec.TrustBundle = "wrong"
		if _, err := api.Update(t.Context(), &ours[0], metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if ours = there(); len(ours) != 1 || ours[0].Spec.TrustBundle != "present" {
			t.Errorf("after a change: %v", ours)
		}
		if err := api.Delete(t.Context(), ours[0].Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if ours = there(); len(ours) != 1 {
			t.Errorf("after its deletion: %v", ours)
		}
	})
}
