package admission

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

func csr(t *testing.T, signer string, subject pkix.Name) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "csr"},
		Spec:       certificatesv1.CertificateSigningRequestSpec{SignerName: signer, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})},
	}
}

const csrs = "certificates.k8s.io/certificatesigningrequests"

func TestCertificateApproval(t *testing.T) {
	for _, tc := range []struct{ grant, want string }{
		{"approve signers/example.com/a", ""},
		{"approve signers/example.com/*", ""},
		{"approve signers/example.com/b", `user not permitted to approve requests with signerName "example.com/a"`},
		{"sign signers/example.com/a", "user not permitted to approve"},
	} {
		p, _ := prepared(t, made(t)(newCertificateApproval(nil)), grants(tc.grant))
		// an update that names another signer does not help
		expect(t, send(t, p, req{resource: csrs + "/approval", op: admission.Update, obj: csr(t, "example.com/b", pkix.Name{}), old: csr(t, "example.com/a", pkix.Name{})}), tc.want)
	}
	p, _ := prepared(t, made(t)(newCertificateApproval(nil)), grants())
	expect(t, send(t, p, req{resource: csrs, op: admission.Update, obj: csr(t, "x.y/a", pkix.Name{}), old: csr(t, "x.y/a", pkix.Name{})}), "")
}

func TestCertificateSigning(t *testing.T) {
	old := csr(t, "example.com/a", pkix.Name{})
	signed, failed, labelled := old.DeepCopy(), old.DeepCopy(), old.DeepCopy()
	signed.Status.Certificate = []byte("x")
	failed.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateFailed}}
	labelled.Labels = map[string]string{"a": "b"}
	for _, tc := range []struct {
		obj   *certificatesv1.CertificateSigningRequest
		grant string
		want  string
	}{
		{signed, "sign signers/example.com/a", ""},
		{signed, "", `user not permitted to sign requests with signerName "example.com/a"`},
		{failed, "", "user not permitted to sign"},
		{labelled, "", ""},
	} {
		p, _ := prepared(t, made(t)(newCertificateSigning(nil)), grants(tc.grant))
		expect(t, send(t, p, req{resource: csrs + "/status", op: admission.Update, obj: tc.obj, old: old}), tc.want)
	}
}

func TestClusterTrustBundleAttest(t *testing.T) {
	bundle := func(signer, content string) *certificatesv1.ClusterTrustBundle {
		return &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: content}}
	}
	const resource = "certificates.k8s.io/clustertrustbundles"
	p, _ := prepared(t, made(t)(newClusterTrustBundleAttest(nil)), grants("attest signers/example.com/a"))
	expect(t, send(t, p, req{resource: resource, obj: bundle("example.com/a", "")}), "")
	expect(t, send(t, p, req{resource: resource, obj: bundle("", "")}), "")
	expect(t, send(t, p, req{resource: resource, obj: bundle("example.com/b", "")}), `user not permitted to attest for signerName "example.com/b"`)
	old := bundle("example.com/b", "x")
	old.Finalizers = []string{"f"}
	expect(t, send(t, p, req{resource: resource, op: admission.Update, obj: bundle("example.com/b", "x"), old: old}), "")
	expect(t, send(t, p, req{resource: resource, op: admission.Update, obj: bundle("example.com/b", "y"), old: old}), "not permitted to attest")
}

func TestCertificateSubjectRestriction(t *testing.T) {
	p := made(t)(newCertificateSubjectRestriction(nil))
	masters := pkix.Name{CommonName: "x", Organization: []string{"a", "system:masters"}}
	expect(t, send(t, p, req{resource: csrs, obj: csr(t, certificatesv1.KubeAPIServerClientSignerName, masters)}), "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed")
	expect(t, send(t, p, req{resource: csrs, obj: csr(t, "example.com/a", masters)}), "")
	expect(t, send(t, p, req{resource: csrs, obj: csr(t, certificatesv1.KubeAPIServerClientSignerName, pkix.Name{CommonName: "x"})}), "")
	broken := csr(t, certificatesv1.KubeAPIServerClientSignerName, masters)
	broken.Spec.Request = []byte("-----BEGIN")
	expect(t, send(t, p, req{resource: csrs, obj: broken}), "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST")
}

func FuzzParseCSR(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = parseCSR(data) })
}
