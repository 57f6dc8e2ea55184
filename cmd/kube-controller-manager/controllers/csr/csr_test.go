package csr_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/csr"
	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

var kubeletClient = []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth}

// key is made once: tests need requests, not secrets.
var key = func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}()

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// request is a kubelet's; change makes it another one.
func request(t *testing.T, change func(*x509.CertificateRequest, *certificatesv1.CertificateSigningRequest)) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n", Organization: []string{"system:nodes"}}}
	r := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "r", CreationTimestamp: metav1.Now()},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName, Usages: kubeletClient, Username: "system:bootstrap:abcdef", Groups: []string{"system:bootstrappers"},
		},
	}
	if change != nil {
		change(template, r)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	r.Spec.Request = block("CERTIFICATE REQUEST", der)
	return r
}

// reviews answers SubjectAccessReviews: allowed has the subresources that may be created. asked counts.
type reviews struct {
	allowed map[string]bool
	asked   int
}

func (v *reviews) install(l *lab.Lab) {
	l.Client.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		v.asked++
		r.Status.Allowed = v.allowed[r.Spec.ResourceAttributes.Subresource]
		return true, r, nil
	})
}

func read(t *testing.T, l *lab.Lab) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	r, err := l.Client.CertificatesV1().CertificateSigningRequests().Get(t.Context(), "r", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decision(r *certificatesv1.CertificateSigningRequest) string {
	var out []string
	for _, c := range r.Status.Conditions {
		out = append(out, string(c.Type)+" "+c.Reason)
	}
	return strings.Join(out, ", ")
}

func TestWhatIsApproved(t *testing.T) {
	type change = func(*x509.CertificateRequest, *certificatesv1.CertificateSigningRequest)
	for name, tt := range map[string]struct {
		allowed string
		change  change
		want    string
	}{
		"a bootstrapping kubelet": {"nodeclient", nil, "Approved AutoApproved"},
		"a kubelet for itself": {"selfnodeclient", func(_ *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			r.Spec.Username = "system:node:n"
		}, "Approved AutoApproved"},
		"a kubelet for another": {"selfnodeclient", func(_ *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			r.Spec.Username = "system:node:m"
		}, ""},
		"somebody without permission": {"", nil, ""},
		"another signer": {"nodeclient", func(_ *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			r.Spec.SignerName = "example.com/x"
		}, ""},
		"a name that is no node's": {"nodeclient", func(c *x509.CertificateRequest, _ *certificatesv1.CertificateSigningRequest) {
			c.Subject.CommonName = "admin"
		}, ""},
		"one more organization": {"nodeclient", func(c *x509.CertificateRequest, _ *certificatesv1.CertificateSigningRequest) {
			c.Subject.Organization = []string{"system:nodes", "system:masters"}
		}, ""},
		"an alternative name": {"nodeclient", func(c *x509.CertificateRequest, _ *certificatesv1.CertificateSigningRequest) {
			c.DNSNames = []string{"kubernetes"}
		}, ""},
		"one more usage": {"nodeclient", func(_ *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			r.Spec.Usages = append(r.Spec.Usages, certificatesv1.UsageServerAuth)
		}, ""},
		"a request that somebody denied": {"nodeclient", func(_ *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateDenied, Reason: "No"}}
		}, "Denied No"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lab.New(t)
				(&reviews{allowed: map[string]bool{tt.allowed: true}}).install(l)
				l.Seed(request(t, tt.change))
				l.Run(t, csr.NewApprover(l.Informers.Certificates().V1().CertificateSigningRequests(), l.Client))
				if got := decision(read(t, l)); got != tt.want {
					t.Errorf("decision %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestARefusedRequestIsAskedForEverLessOften, and approved soon when the permission comes together with a change.
func TestARefusedRequestIsAskedForEverLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		v := &reviews{allowed: map[string]bool{}}
		v.install(l)
		l.Seed(request(t, nil))
		l.Run(t, csr.NewApprover(l.Informers.Certificates().V1().CertificateSigningRequests(), l.Client))
		time.Sleep(10 * time.Second)
		if v.asked < 4 {
			t.Errorf("asked %d times in the first ten seconds: a fresh cluster would wait", v.asked)
		}
		time.Sleep(time.Hour)
		if v.asked > 20 {
			t.Errorf("asked %d times in an hour", v.asked)
		}
		v.allowed["nodeclient"] = true
		r := read(t, l)
		r.Labels = map[string]string{"look": "again"}
		if _, err := l.Client.CertificatesV1().CertificateSigningRequests().Update(t.Context(), r, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := decision(read(t, l)); got != "Approved AutoApproved" {
			t.Errorf("decision %q at the change of the request", got)
		}
	})
}

// authority writes a CA that ends at a time and gives its files.
func authority(t *testing.T, end time.Time) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: end, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "ca.crt"), filepath.Join(t.TempDir(), "ca.key")
	for file, data := range map[string][]byte{certFile: block("CERTIFICATE", der), keyFile: block("PRIVATE KEY", keyDER)} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(ca)
	return certFile, keyFile, pool
}

func approved(_ *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
	r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, LastUpdateTime: metav1.Now()}}
}

func TestSigning(t *testing.T) {
	serving := func(c *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
		approved(c, r)
		r.Spec.SignerName, r.Spec.Usages = certificatesv1.KubeletServingSignerName, []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth}
		c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)}
	}
	for name, tt := range map[string]struct {
		change func(*x509.CertificateRequest, *certificatesv1.CertificateSigningRequest)
		caEnds time.Duration
		valid  time.Duration // 0: nothing is signed
		want   string
	}{
		"approved":              {approved, 9000 * time.Hour, 1000 * time.Hour, "Approved "},
		"not approved":          {nil, 9000 * time.Hour, 0, ""},
		"a serving certificate": {serving, 9000 * time.Hour, 1000 * time.Hour, "Approved "},
		"shorter, as asked for": {func(c *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			approved(c, r)
			r.Spec.ExpirationSeconds = ptr.To[int32](3600)
		}, 9000 * time.Hour, time.Hour, "Approved "},
		"never shorter than 10 min": {func(c *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			approved(c, r)
			r.Spec.ExpirationSeconds = ptr.To[int32](60)
		}, 9000 * time.Hour, 10 * time.Minute, "Approved "},
		"never longer than the CA": {approved, 5 * time.Hour, 5 * time.Hour, "Approved "},
		"serving without an address": {func(c *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			serving(c, r)
			c.IPAddresses = nil
		}, 9000 * time.Hour, 0, "Approved , Failed SignerValidationFailure"},
		"a name that is not a node's": {func(c *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			approved(c, r)
			c.Subject.CommonName = "root"
		}, 9000 * time.Hour, 0, "Approved , Failed SignerValidationFailure"},
		"a signer that is not its own": {func(c *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			approved(c, r)
			r.Spec.SignerName = "example.com/x"
		}, 9000 * time.Hour, 0, "Approved "},
		"an expired CA": {approved, -time.Minute, 0, "Approved "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lab.New(t)
				cert, keyFile, pool := authority(t, time.Now().Add(tt.caEnds))
				l.Seed(request(t, tt.change))
				l.Run(t, csr.NewSigning("signing", csr.Signer{CertFile: cert, KeyFile: keyFile, Duration: 1000 * time.Hour, Names: []string{certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.KubeletServingSignerName}},
					l.Informers.Certificates().V1().CertificateSigningRequests(), l.Client))
				r := read(t, l)
				if got := decision(r); got != tt.want {
					t.Errorf("conditions %q, want %q", got, tt.want)
				}
				if (len(r.Status.Certificate) > 0) != (tt.valid > 0) {
					t.Fatalf("certificate %q", r.Status.Certificate)
				}
				if tt.valid == 0 {
					return
				}
				p, _ := pem.Decode(r.Status.Certificate)
				c, err := x509.ParseCertificate(p.Bytes)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
					t.Error(err)
				}
				if left := time.Until(c.NotAfter); left > tt.valid || left < tt.valid-time.Minute {
					t.Errorf("valid for %v, want %v", left, tt.valid)
				}
				if c.IsCA || c.Subject.CommonName != "system:node:n" || !bytes.Equal(c.RawSubjectPublicKeyInfo, mustPublic(t)) {
					t.Errorf("a certificate of %v, CA %v", c.Subject, c.IsCA)
				}
			})
		})
	}
}

func mustPublic(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestOldRequestsGo(t *testing.T) {
	decided := func(kind certificatesv1.RequestConditionType) func(*x509.CertificateRequest, *certificatesv1.CertificateSigningRequest) {
		return func(_ *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest) {
			r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: kind, LastUpdateTime: metav1.Now()}}
		}
	}
	for name, tt := range map[string]struct {
		change func(*x509.CertificateRequest, *certificatesv1.CertificateSigningRequest)
		after  time.Duration
	}{
		"pending": {nil, 24 * time.Hour}, "approved": {decided(certificatesv1.CertificateApproved), time.Hour},
		"denied": {decided(certificatesv1.CertificateDenied), time.Hour}, "failed": {decided(certificatesv1.CertificateFailed), time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lab.New(t)
				l.Seed(request(t, tt.change))
				l.Run(t, csr.NewCleaner(l.Informers.Certificates().V1().CertificateSigningRequests(), l.Client))
				time.Sleep(tt.after - time.Minute)
				synctest.Wait()
				if n := l.Count("delete certificatesigningrequests"); n != 0 {
					t.Errorf("deleted a minute too soon")
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if n := l.Count("delete certificatesigningrequests"); n != 1 {
					t.Errorf("%d deletions, want 1", n)
				}
			})
		})
	}
}
