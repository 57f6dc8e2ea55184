package conformance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"pilotis.dev/test/e2e/testcert"
)

// csr is a request for a certificate of the subject, and the key that is PEM of its own.
func (s *space) csr(signer string, subject pkix.Name, usages ...certificatesv1.KeyUsage) (request *certificatesv1.CertificateSigningRequest, key []byte) {
	s.Helper()
	return s.csrFor(signer, &x509.CertificateRequest{Subject: subject}, usages...)
}

func (s *space) csrFor(signer string, wanted *x509.CertificateRequest, usages ...certificatesv1.KeyUsage) (request *certificatesv1.CertificateSigningRequest, key []byte) {
	s.Helper()
	private := must[*ecdsa.PrivateKey](s)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must[[]byte](s)(x509.CreateCertificateRequest(rand.Reader, wanted, private))
	request = &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{GenerateName: s.Namespace + "-"}, Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: signer, Usages: append([]certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature}, usages...),
		Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
	}}
	return request, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must[[]byte](s)(x509.MarshalPKCS8PrivateKey(private))})
}

// asks creates the request for whom the client acts.
func (s *space) asks(client kubernetes.Interface, request *certificatesv1.CertificateSigningRequest) string {
	s.Helper()
	made := must[*certificatesv1.CertificateSigningRequest](s)(client.CertificatesV1().CertificateSigningRequests().Create(s.Context(), request, metav1.CreateOptions{}))
	s.removesLater(certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), made.Name)
	return made.Name
}

func (s *space) csrNow(name string) *certificatesv1.CertificateSigningRequest {
	s.Helper()
	return must[*certificatesv1.CertificateSigningRequest](s)(s.Client.CertificatesV1().CertificateSigningRequests().Get(s.Context(), name, metav1.GetOptions{}))
}

// signed waits for the certificate, which it gives as PEM and read.
func (s *space) signed(name string) ([]byte, *x509.Certificate) {
	s.Helper()
	var data []byte
	s.eventually("a certificate for "+name, func() (any, bool) {
		r := s.csrNow(name)
		data = r.Status.Certificate
		return r.Status, len(data) > 0
	})
	block, _ := pem.Decode(data)
	if block == nil {
		s.Fatalf("the certificate is no PEM: %q", data)
	}
	return data, must[*x509.Certificate](s)(x509.ParseCertificate(block.Bytes))
}

// as is a client that acts as somebody else.
func (s *space) as(user string, groups ...string) kubernetes.Interface {
	s.Helper()
	config := rest.CopyConfig(s.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	return must[*kubernetes.Clientset](s)(kubernetes.NewForConfig(config))
}

func TestApprovedClientCertificate(t *testing.T) {
	s := documented(t, "[sig-auth] CertificateSigningRequest should get a client certificate when it is approved")
	request, key := s.csr(certificatesv1.KubeAPIServerClientSignerName, pkix.Name{CommonName: "alice", Organization: []string{"gardeners"}}, certificatesv1.UsageClientAuth)
	seconds := int32(3600)
	request.Spec.ExpirationSeconds = &seconds
	name := s.asks(s.Client, request)
	s.steady("a request that waits for its approval", func() (any, bool) {
		status := s.csrNow(name).Status
		return status, len(status.Certificate)+len(status.Conditions) == 0
	})
	s.kubectl("certificate", "approve", name)
	data, certificate := s.signed(name)
	if left := time.Until(certificate.NotAfter); left > time.Hour || left < 55*time.Minute {
		t.Errorf("the certificate lasts %v, asked for was an hour", left)
	}
	if !slices.Equal(certificate.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || certificate.IsCA {
		t.Errorf("the certificate is for %v, CA: %v", certificate.ExtKeyUsage, certificate.IsCA)
	}
	config := rest.AnonymousClientConfig(s.Config)
	config.CertData, config.KeyData = data, key
	alice := must[*kubernetes.Clientset](s)(kubernetes.NewForConfig(config))
	review := must[*authenticationv1.SelfSubjectReview](s)(alice.AuthenticationV1().SelfSubjectReviews().Create(s.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
	if user := review.Status.UserInfo; user.Username != "alice" || !slices.Contains(user.Groups, "gardeners") {
		t.Errorf("with the certificate one is %s of %v", user.Username, user.Groups)
	}
}

func TestDeniedCertificate(t *testing.T) {
	s := documented(t, "[sig-auth] CertificateSigningRequest should get no certificate when it is denied")
	request, _ := s.csr(certificatesv1.KubeAPIServerClientSignerName, pkix.Name{CommonName: "mallory"}, certificatesv1.UsageClientAuth)
	name := s.asks(s.Client, request)
	s.kubectl("certificate", "deny", name)
	if _, err := s.tryKubectl("", "certificate", "approve", name); err == nil {
		t.Error("a denied request was approved")
	}
	s.steady("a denied request", func() (any, bool) {
		status := s.csrNow(name).Status
		return status, len(status.Certificate) == 0
	})
}

// TestSignerRefuses what its rules forbid, even if somebody approved it.
func TestSignerRefuses(t *testing.T) {
	s := documented(t, "[sig-auth] CertificateSigningRequest should fail when it breaks the rules of its signer")
	for _, tt := range []struct {
		signer string
		name   string
		usage  certificatesv1.KeyUsage
	}{
		{certificatesv1.KubeAPIServerClientSignerName, "server", certificatesv1.UsageServerAuth},
		{certificatesv1.KubeAPIServerClientKubeletSignerName, "no-node", certificatesv1.UsageClientAuth},
		{certificatesv1.KubeletServingSignerName, "no-node", certificatesv1.UsageServerAuth},
	} {
		request, _ := s.csr(tt.signer, pkix.Name{CommonName: tt.name}, tt.usage)
		name := s.asks(s.Client, request)
		s.kubectl("certificate", "approve", name)
		s.eventually(tt.signer+" to refuse "+tt.name, func() (any, bool) {
			status := s.csrNow(name).Status
			return status, len(status.Certificate) == 0 && slices.ContainsFunc(status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
				return c.Type == certificatesv1.CertificateFailed && c.Status == v1.ConditionTrue && c.Reason == "SignerValidationFailure"
			})
		})
	}
}

// TestNobodyAsksForMasters: the group that may do everything cannot be had by a request.
func TestNobodyAsksForMasters(t *testing.T) {
	s := documented(t, "[sig-auth] CertificateSigningRequest should not be made for the group system:masters")
	request, _ := s.csr(certificatesv1.KubeAPIServerClientSignerName, pkix.Name{CommonName: "mallory", Organization: []string{"system:masters"}}, certificatesv1.UsageClientAuth)
	if _, err := s.Client.CertificatesV1().CertificateSigningRequests().Create(s.Context(), request, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a request for system:masters: %v", err)
	}
}

func TestNodeApprovedForItself(t *testing.T) {
	s := documented(t, "[sig-auth] CertificateSigningRequest should be approved for a node that asks for itself")
	node := "system:node:" + s.workNodes()[0]
	client := s.as(node, "system:nodes")
	request, _ := s.csr(certificatesv1.KubeAPIServerClientKubeletSignerName, pkix.Name{CommonName: node, Organization: []string{"system:nodes"}}, certificatesv1.UsageClientAuth)
	_, certificate := s.signed(s.asks(client, request))
	if certificate.Subject.CommonName != node {
		t.Errorf("the certificate is of %s", certificate.Subject.CommonName)
	}
	other, _ := s.csr(certificatesv1.KubeAPIServerClientKubeletSignerName, pkix.Name{CommonName: "system:node:" + s.Namespace, Organization: []string{"system:nodes"}}, certificatesv1.UsageClientAuth)
	if made, err := client.CertificatesV1().CertificateSigningRequests().Create(s.Context(), other, metav1.CreateOptions{}); err == nil {
		s.removesLater(certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), made.Name)
		s.steady("a request for another node's name", func() (any, bool) {
			status := s.csrNow(made.Name).Status
			return status, len(status.Conditions)+len(status.Certificate) == 0
		})
	} else if !apierrors.IsForbidden(err) {
		t.Fatal(err)
	}
}

// TestServingCertificateOfANode: nobody but an administrator can tell whether the names are the node's.
func TestServingCertificateOfANode(t *testing.T) {
	s := documented(t, "[sig-auth] CertificateSigningRequest should get a serving certificate for a node when it is approved")
	node := s.workNodes()[0]
	address := net.ParseIP(s.kubectl("get", "node", node, "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`))
	request, _ := s.csrFor(certificatesv1.KubeletServingSignerName, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}}, DNSNames: []string{node}, IPAddresses: []net.IP{address},
	}, certificatesv1.UsageServerAuth)
	name := s.asks(s.as("system:node:"+node, "system:nodes"), request)
	s.steady("a request that waits for its approval", func() (any, bool) {
		status := s.csrNow(name).Status
		return status, len(status.Certificate)+len(status.Conditions) == 0
	})
	s.kubectl("certificate", "approve", name)
	_, certificate := s.signed(name)
	if err := certificate.VerifyHostname(node); err != nil {
		t.Error(err)
	}
	if err := certificate.VerifyHostname(address.String()); err != nil {
		t.Error(err)
	}
	if !slices.Equal(certificate.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("the certificate is for %v", certificate.ExtKeyUsage)
	}
}

// TestOldRequestsGo: an approval bears the time that its approver says.
func TestOldRequestsGo(t *testing.T) {
	s := documented(t, "[sig-auth] CertificateSigningRequest should go when it was decided long ago or its certificate has expired")
	client := s.Client.CertificatesV1().CertificateSigningRequests()
	decided := func(kind certificatesv1.RequestConditionType, ago time.Duration) *certificatesv1.CertificateSigningRequest {
		t.Helper()
		request, _ := s.csr(s.Namespace+".tests.pilotis.dev/signer", pkix.Name{CommonName: "web"}, certificatesv1.UsageServerAuth)
		r := s.csrNow(s.asks(s.Client, request))
		r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: v1.ConditionTrue, Reason: "E2E", LastUpdateTime: metav1.NewTime(time.Now().Add(-ago))})
		return must[*certificatesv1.CertificateSigningRequest](s)(client.UpdateApproval(s.Context(), r.Name, r, metav1.UpdateOptions{}))
	}
	fresh := decided(certificatesv1.CertificateApproved, 30*time.Minute)
	expired := decided(certificatesv1.CertificateApproved, 0)
	key := must[*ecdsa.PrivateKey](s)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute)}
	expired.Status.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: must[[]byte](s)(x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key))})
	must[*certificatesv1.CertificateSigningRequest](s)(client.UpdateStatus(s.Context(), expired, metav1.UpdateOptions{}))
	for what, r := range map[string]*certificatesv1.CertificateSigningRequest{
		"approved long ago":                   decided(certificatesv1.CertificateApproved, 61*time.Minute),
		"denied long ago":                     decided(certificatesv1.CertificateDenied, 61*time.Minute),
		"with a certificate that has expired": expired,
	} {
		s.eventually("the request "+what+" to go", func() (any, bool) {
			_, err := client.Get(s.Context(), r.Name, metav1.GetOptions{})
			return err, apierrors.IsNotFound(err)
		})
	}
	s.csrNow(fresh.Name)
}

// TestSignerOfOnesOwn: who may approve and sign for a signer is a permission on the signer's name.
func TestSignerOfOnesOwn(t *testing.T) {
	s := documented(t, "[sig-auth] CertificateSigningRequest should be approved and signed by who may use its signer")
	own := s.Namespace + ".tests.pilotis.dev/signer"
	s.grants("writer", own, nil)
	s.grants("notary", own, []string{"approve", "sign"})
	request, _ := s.csr(own, pkix.Name{CommonName: "web"}, certificatesv1.UsageServerAuth)
	name := s.asks(s.Client, request)
	approve := func(client kubernetes.Interface) error {
		r := s.csrNow(name)
		r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateApproved, Status: v1.ConditionTrue, Reason: "E2E"})
		_, err := client.CertificatesV1().CertificateSigningRequests().UpdateApproval(s.Context(), name, r, metav1.UpdateOptions{})
		return err
	}
	sign := func(client kubernetes.Interface, certificate []byte) error {
		r := s.csrNow(name)
		r.Status.Certificate = certificate
		_, err := client.CertificatesV1().CertificateSigningRequests().UpdateStatus(s.Context(), r, metav1.UpdateOptions{})
		return err
	}
	writer, notary := s.as(s.Namespace+":writer"), s.as(s.Namespace+":notary")
	if err := approve(writer); !apierrors.IsForbidden(err) {
		t.Errorf("approved without the permission on the signer: %v", err)
	}
	if err := approve(notary); err != nil {
		t.Fatal(err)
	}
	text, _, _, err := testcert.Serving("web")
	if err != nil {
		t.Fatal(err)
	}
	certificate := []byte(text)
	if err := sign(writer, certificate); !apierrors.IsForbidden(err) {
		t.Errorf("signed without the permission on the signer: %v", err)
	}
	if err := sign(notary, []byte("no certificate")); !apierrors.IsInvalid(err) {
		t.Errorf("what is no certificate was written: %v", err)
	}
	if err := sign(notary, certificate); err != nil {
		t.Fatal(err)
	}
	if got := s.csrNow(name).Status.Certificate; !bytes.Equal(got, certificate) {
		t.Errorf("the certificate is %q", got)
	}
}

// grants lets the user of this name write requests, and use these verbs on the signer.
func (s *space) grants(user, signer string, verbs []string) {
	s.Helper()
	name := s.Namespace + ":" + user
	rules := `
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval, certificatesigningrequests/status], verbs: [update]}`
	for _, verb := range verbs {
		rules += fmt.Sprintf("\n- {apiGroups: [certificates.k8s.io], resources: [signers], resourceNames: [%s], verbs: [%s]}", signer, verb)
	}
	s.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %q}
rules:%s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %q}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %q}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %q}]
`, name, rules, name, name, name))
	s.Cleanup(func() {
		if _, err := s.tryKubectl("", "delete", "clusterrolebinding,clusterrole", name); err != nil {
			s.Error(err)
		}
	})
}
