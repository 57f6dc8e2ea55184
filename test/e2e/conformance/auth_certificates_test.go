package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// signingRequest is a PKCS#10 request of a new key for the name, in DER.
func (s *space) signingRequest(name string) []byte {
	s.Helper()
	key := must[*ecdsa.PrivateKey](s)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return must[[]byte](s)(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key))
}

func TestCertificateSigningRequestOperations(t *testing.T) {
	s := behaviour(t, "[sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations")
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: s.signingRequest("e2e")})
	s.supportsOperations(operations{resource: "certificatesigningrequests", clusterWide: true, subresources: []string{"status", "approval"}, manifest: `
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
spec: {signerName: nowhere.example.com/none, usages: [digital signature, client auth], request: ` + base64.StdEncoding.EncodeToString(request) + `}
`, status: `{"conditions":[{"type":"Tested","status":"True","reason":"Tested"}]}`})

	client := s.Client.CertificatesV1().CertificateSigningRequests()
	made := must[*certificatesv1.CertificateSigningRequest](s)(client.Create(s.Context(), &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace},
		Spec: certificatesv1.CertificateSigningRequestSpec{Request: request, SignerName: "nowhere.example.com/none", Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}}}, metav1.CreateOptions{}))
	s.removesLater(certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), made.Name)
	made.Status.Conditions = append(made.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateApproved, Status: v1.ConditionTrue, Reason: "E2E"})
	approved := must[*certificatesv1.CertificateSigningRequest](s)(client.UpdateApproval(s.Context(), made.Name, made, metav1.UpdateOptions{}))
	if len(approved.Status.Conditions) != 1 || approved.Status.Conditions[0].Type != certificatesv1.CertificateApproved {
		t.Errorf("the approved request has the conditions %v", approved.Status.Conditions)
	}
	patched := must[*certificatesv1.CertificateSigningRequest](s)(client.Patch(s.Context(), made.Name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"patched":"approval"}}}`), metav1.PatchOptions{}, "approval"))
	if patched.Annotations["patched"] != "approval" {
		t.Errorf("the patched annotations are %v", patched.Annotations)
	}
	if got := s.kubectl("get", "csr", made.Name, "--subresource=approval", "-o", "jsonpath={.status.conditions[*].type}"); got != "Approved" {
		t.Errorf("the approval subresource has the conditions %q", got)
	}
}

func TestPodCertificateRequestOperations(t *testing.T) {
	s := behaviour(t, "[sig-auth] PodCertificateRequest API [Privileged:ClusterAdmin] should support PodCertificateRequest API operations")
	s.supportsOperations(operations{resource: "podcertificaterequests", subresources: []string{"status"}, manifest: `
apiVersion: certificates.k8s.io/v1
kind: PodCertificateRequest
spec:
  signerName: nowhere.example.com/none
  podName: p
  podUID: 8f1c5e4a-0000-4000-8000-000000000001
  serviceAccountName: default
  serviceAccountUID: 8f1c5e4a-0000-4000-8000-000000000002
  nodeName: nowhere
  nodeUID: 8f1c5e4a-0000-4000-8000-000000000003
  stubPKCS10Request: ` + base64.StdEncoding.EncodeToString(s.signingRequest("")) + `
`, status: `{"conditions":[{"type":"Denied","status":"True","reason":"Tested","message":"denied by a test","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`})
}
