package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// podCertificates is what every behaviour of certificates of pods begins with.
const podCertificates = "[sig-auth] Projected PodCertificate [FeatureGate:PodCertificateRequest] [FeatureGate:ClusterTrustBundle] [FeatureGate:ClusterTrustBundleProjection] "

// pathAnnotation is how a pod asks the test's signer for another path of its identity.
const pathAnnotation = "e2e.example.com/spiffe-path"

// certified is a pod with a certificate of the test's signer at /v/credentials.pem.
func (s *space) certified(seconds *int32, annotations map[string]string) *v1.Pod {
	return s.pod("p", "sleep 300", func(p *v1.Pod) {
		p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{
			{PodCertificate: &v1.PodCertificateProjection{SignerName: s.signer(), KeyType: "ECDSAP256", MaxExpirationSeconds: seconds, CredentialBundlePath: "credentials.pem", UserAnnotations: annotations}},
		}}}}}
		p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
	})
}

// signs issues what pods of the test's namespace request of its signer, for as long as they ask for, until the test ends.
func (s *space) signs() {
	s.Helper()
	client := s.Client.CertificatesV1().PodCertificateRequests(s.Namespace)
	key := must[*ecdsa.PrivateKey](s)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	requests := must[watch.Interface](s)(client.Watch(s.Context(), metav1.ListOptions{FieldSelector: "spec.signerName=" + s.signer()}))
	go func() {
		defer requests.Stop()
		for e := range requests.ResultChan() {
			if r, ok := e.Object.(*certificatesv1.PodCertificateRequest); ok && e.Type == watch.Added {
				if err := s.issue(s.Context(), key, r); err != nil && s.Context().Err() == nil {
					s.Error(err)
				}
			}
		}
	}()
}

// issue answers a request with a certificate whose URI tells the pod's service account, or the path that it asks for.
func (s *space) issue(ctx context.Context, key *ecdsa.PrivateKey, r *certificatesv1.PodCertificateRequest) error {
	stub, err := x509.ParseCertificateRequest(r.Spec.StubPKCS10Request)
	if err != nil {
		return err
	}
	path := r.Spec.UnverifiedUserAnnotations[pathAnnotation]
	if path == "" {
		path = "/ns/" + r.Namespace + "/sa/" + r.Spec.ServiceAccountName
	}
	begin := time.Now().Truncate(time.Second)
	end := begin.Add(time.Duration(*r.Spec.MaxExpirationSeconds) * time.Second)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: begin, NotAfter: end, URIs: []*url.URL{{Scheme: "spiffe", Host: "e2e.example.com", Path: path}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, stub.PublicKey, key)
	if err != nil {
		return err
	}
	notBefore, notAfter, refresh := metav1.NewTime(begin), metav1.NewTime(end), metav1.NewTime(begin.Add(end.Sub(begin)/2))
	r.Status = certificatesv1.PodCertificateRequestStatus{
		Conditions:       []metav1.Condition{{Type: certificatesv1.PodCertificateRequestConditionTypeIssued, Status: metav1.ConditionTrue, Reason: "E2E", Message: "issued by a test", LastTransitionTime: notBefore}},
		CertificateChain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		NotBefore:        &notBefore, NotAfter: &notAfter, BeginRefreshAt: &refresh,
	}
	_, err = s.Client.CertificatesV1().PodCertificateRequests(r.Namespace).UpdateStatus(ctx, r, metav1.UpdateOptions{})
	return err
}

// certificate is what the pod finds in its volume, checked against its key.
func (s *space) certificate(pod *v1.Pod) *x509.Certificate {
	s.Helper()
	text := s.inPod(pod, "cat /v/credentials.pem")
	if !strings.HasPrefix(text, "-----BEGIN PRIVATE KEY-----") {
		s.Fatalf("the credentials do not begin with the key but with %.40q", text)
	}
	pair := must[tls.Certificate](s)(tls.X509KeyPair([]byte(text), []byte(text)))
	return must[*x509.Certificate](s)(x509.ParseCertificate(pair.Certificate[0]))
}

func TestPodCertificateOfADay(t *testing.T) {
	s := behaviour(t, podCertificates+"MaxExpirationSeconds validations should issue certificate with default life time (24h) when MaxExpirationSeconds is not set [MinimumKubeletVersion:1.37]")
	s.signs()
	got := s.certificate(s.start(s.certified(nil, nil)))
	if life := got.NotAfter.Sub(got.NotBefore); life != 24*time.Hour {
		t.Errorf("the certificate holds for %v", life)
	}
	if want := "spiffe://e2e.example.com/ns/" + s.Namespace + "/sa/default"; len(got.URIs) != 1 || got.URIs[0].String() != want {
		t.Errorf("the certificate's URIs are %v, want %s", got.URIs, want)
	}
}

func TestAnnotationsForTheSigner(t *testing.T) {
	s := behaviour(t, podCertificates+"should honor UserAnnotations for SPIFFE URI path [MinimumKubeletVersion:1.37]")
	s.signs()
	got := s.certificate(s.start(s.certified(nil, map[string]string{pathAnnotation: "/of/the/pod"})))
	if want := "spiffe://e2e.example.com/of/the/pod"; len(got.URIs) != 1 || got.URIs[0].String() != want {
		t.Errorf("the certificate's URIs are %v, want %s", got.URIs, want)
	}
}

// refusesLife checks that no pod may ask for a certificate of so many seconds.
func (s *space) refusesLife(seconds int32) {
	s.Helper()
	_, err := s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.certified(&seconds, nil), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "podCertificate.maxExpirationSeconds") {
		s.Errorf("a certificate of %d seconds: %v", seconds, err)
	}
}

func TestPodCertificateOfLessThanAnHour(t *testing.T) {
	s := behaviour(t, podCertificates+"MaxExpirationSeconds validations should reject pod creation when MaxExpirationSeconds is less than minimum (1h) [MinimumKubeletVersion:1.37]")
	s.refusesLife(3600 - 1)
}

func TestPodCertificateOfMoreThan91Days(t *testing.T) {
	s := behaviour(t, podCertificates+"MaxExpirationSeconds validations should reject pod creation when MaxExpirationSeconds exceeds maximum (91d) [MinimumKubeletVersion:1.37]")
	s.refusesLife(91*24*3600 + 1)
}
