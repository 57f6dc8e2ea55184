package volumes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func projected(sources ...v1.VolumeProjection) v1.Volume {
	return v1.Volume{Name: "p", VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: sources}}}
}

// TestTrustBundlesOfASigner follows the API's words on labelSelector: unset matches nothing, empty everything.
func TestTrustBundlesOfASigner(t *testing.T) {
	const certificate = "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"
	signer, yes := "example.com/s", true
	for _, c := range []struct {
		name     string
		selector *metav1.LabelSelector
		optional *bool
		want     string
		err      string
	}{
		{"every", &metav1.LabelSelector{}, nil, certificate, ""},
		{"labelled", &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}, nil, certificate, ""},
		{"other labels", &metav1.LabelSelector{MatchLabels: map[string]string{"a": "c"}}, nil, "", "matched zero ClusterTrustBundles"},
		{"other labels, optional", &metav1.LabelSelector{MatchLabels: map[string]string{"a": "c"}}, &yes, "", ""},
		{"no selector", nil, nil, "", "matched zero ClusterTrustBundles"},
		{"no selector, optional", nil, &yes, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _, _ := world(t)
			m.Client = fake.NewClientset(&certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "example.com:s:x", Labels: map[string]string{"a": "b"}}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: certificate}})
			got, err := m.Setup(t.Context(), podOf(projected(v1.VolumeProjection{ClusterTrustBundle: &v1.ClusterTrustBundleProjection{SignerName: &signer, LabelSelector: c.selector, Optional: c.optional, Path: "ca.pem"}})))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if text := read(t, got["p"].HostPath, "ca.pem"); text != c.want {
				t.Errorf("the file holds %q", text)
			}
		})
	}
}

// oneCertificate is what a signer issued.
type oneCertificate struct{ err error }

func (o oneCertificate) Certificate(_ context.Context, _ *v1.Pod, volume string, source int, p *v1.PodCertificateProjection) (key, chain []byte, renew time.Time, err error) {
	if volume != "p" || source != 1 || p.SignerName != "example.com/s" {
		return nil, nil, time.Time{}, errors.New("asked for another source")
	}
	return []byte("KEY"), []byte("CHAIN"), time.Now().Add(time.Hour), o.err
}

func TestPodCertificateFiles(t *testing.T) {
	m, _, _ := world(t)
	user := int64(os.Getuid())
	pod := podOf(projected(
		v1.VolumeProjection{DownwardAPI: &v1.DownwardAPIProjection{Items: []v1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}},
		v1.VolumeProjection{PodCertificate: &v1.PodCertificateProjection{SignerName: "example.com/s", CredentialBundlePath: "both.pem", KeyPath: "key.pem", CertificateChainPath: "chain.pem"}},
	))
	pod.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: &user}
	if _, err := m.Setup(t.Context(), pod); err == nil || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Errorf("without an API server: %v", err)
	}
	m.Certificates = oneCertificate{errors.New("not yet")}
	if _, err := m.Setup(t.Context(), pod); err == nil || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("before the signer answers: %v", err)
	}
	m.Certificates = oneCertificate{}
	dir := setUp(t, m, pod)["p"].HostPath
	for path, want := range map[string]string{"both.pem": "KEYCHAIN", "key.pem": "KEY", "chain.pem": "CHAIN"} {
		if got := read(t, dir, path); got != want {
			t.Errorf("%s holds %q", path, got)
		}
		if info, _ := os.Stat(filepath.Join(dir, path)); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
	}
}
