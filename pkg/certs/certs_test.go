package certs

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var issued = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testCA(t testing.TB) *Pair {
	t.Helper()
	ca, err := NewCA(Spec{CommonName: "kubernetes", DNSNames: []string{"kubernetes"}, Now: issued, Algorithm: ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestEveryAlgorithmSurvivesPEM(t *testing.T) {
	for _, alg := range []Algorithm{"", RSA2048, ECDSAP256, ECDSAP384} {
		t.Run(string(alg), func(t *testing.T) {
			key, err := NewKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			data, err := EncodeKey(key)
			if err != nil {
				t.Fatal(err)
			}
			back, err := ParseKey(data)
			if err != nil {
				t.Fatal(err)
			}
			if !KeyMatches(back, key.Public()) {
				t.Fatal("the key changed on its way through PEM")
			}
			switch k := key.(type) {
			case *rsa.PrivateKey:
				if k.N.BitLen() != 2048 {
					t.Errorf("RSA key of %d bits", k.N.BitLen())
				}
			case *ecdsa.PrivateKey:
				if !strings.HasSuffix(string(alg), k.Curve.Params().Name[2:]) {
					t.Errorf("curve %s for %s", k.Curve.Params().Name, alg)
				}
			}
		})
	}
	if _, err := NewKey("DSA-512"); err == nil || !strings.Contains(err.Error(), "RSA-2048") {
		t.Errorf("an unknown algorithm must be refused with the known ones listed, got %v", err)
	}
}

func TestChainVerifiesForItsUsageAndNamesOnly(t *testing.T) {
	ca := testCA(t)
	leaf, err := ca.Sign(Spec{
		CommonName: "kube-apiserver", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"kubernetes.default.svc"}, IPs: []net.IP{net.ParseIP("10.96.0.1")}, Now: issued, Algorithm: ECDSAP256,
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	at := issued.Add(time.Hour)
	verify := func(name string, usage x509.ExtKeyUsage, when time.Time) error {
		_, err := leaf.Cert.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: when, KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	if err := verify("10.96.0.1", x509.ExtKeyUsageServerAuth, at); err != nil {
		t.Error(err)
	}
	if err := verify("kubernetes.default.svc", x509.ExtKeyUsageClientAuth, at); err == nil {
		t.Error("a serving certificate must not authenticate a client")
	}
	if err := verify("example.org", x509.ExtKeyUsageServerAuth, at); err == nil {
		t.Error("an unlisted name must not verify")
	}
	if err := verify("10.96.0.1", x509.ExtKeyUsageServerAuth, issued.Add(LeafValidity+time.Second)); err == nil {
		t.Error("an expired certificate must not verify")
	}
	if err := CheckNames(leaf.Cert, []string{"kubernetes.default.svc", "a.example"}, []net.IP{net.ParseIP("10.9.9.9")}); err == nil || !strings.Contains(err.Error(), "a.example, 10.9.9.9") {
		t.Errorf("missing names must be listed, got %v", err)
	}
	if err := CheckChain(leaf.Cert, testCA(t).Cert); err == nil {
		t.Error("another authority of the same name must not pass")
	}
	if err := CheckTime(leaf.Cert, issued.Add(-time.Hour)); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a certificate of the future must point at the clock, got %v", err)
	}
	if err := CheckTime(leaf.Cert, issued.Add(2*LeafValidity)); err == nil || !strings.Contains(err.Error(), "renew") {
		t.Errorf("an expired certificate must say renew, got %v", err)
	}
}

func TestLeafNeverOutlivesItsAuthority(t *testing.T) {
	ca, err := NewCA(Spec{CommonName: "short", Now: issued, Validity: time.Hour, Algorithm: ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Sign(Spec{CommonName: "leaf", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, Now: issued, Algorithm: ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Cert.NotAfter.After(ca.Cert.NotAfter) {
		t.Errorf("leaf ends %s, its authority %s", leaf.Cert.NotAfter, ca.Cert.NotAfter)
	}
}

func TestSignRefuses(t *testing.T) {
	ca := testCA(t)
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for name, tc := range map[string]struct {
		ca   *Pair
		spec Spec
		want string
	}{
		"no usage":       {ca, Spec{CommonName: "x"}, "usage"},
		"no common name": {ca, Spec{Usages: usages, Algorithm: ECDSAP256}, "common name"},
		"no CA key":      {&Pair{Cert: ca.Cert}, Spec{CommonName: "x", Usages: usages, Algorithm: ECDSAP256}, "not on this machine"},
	} {
		if _, err := tc.ca.Sign(tc.spec); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tc.want)
		}
	}
}

func TestPairOnDisk(t *testing.T) {
	dir := t.TempDir()
	ca := testCA(t)
	if _, err := ReadPair(dir, "etcd/ca"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a missing pair must be fs.ErrNotExist, got %v", err)
	}
	if err := WritePair(dir, "etcd/ca", ca); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]fs.FileMode{CertPath(dir, "etcd/ca"): 0o644, KeyPath(dir, "etcd/ca"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, error %v, want %v", path, info.Mode().Perm(), err, mode)
		}
	}
	back, err := ReadPair(dir, "etcd/ca")
	if err != nil || !back.Cert.Equal(ca.Cert) {
		t.Fatalf("read back %v, %v", back, err)
	}
	if err := WriteKey(KeyPath(dir, "etcd/ca"), testCA(t).Key); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPair(dir, "etcd/ca"); !errors.Is(err, ErrKeyMismatch) {
		t.Errorf("a foreign key must be ErrKeyMismatch, got %v", err)
	}
	if err := os.Remove(KeyPath(dir, "etcd/ca")); err != nil {
		t.Fatal(err)
	}
	if back, err = ReadPair(dir, "etcd/ca"); err != nil || back.Key != nil {
		t.Errorf("a certificate without key must be readable, got %v, %v", back, err)
	}
	entries, _ := os.ReadDir(filepath.Join(dir, "etcd"))
	if len(entries) != 1 {
		t.Errorf("temporary files left: %v", entries)
	}
}

func TestKubeconfigRoundTrip(t *testing.T) {
	ca := testCA(t)
	user, err := ca.Sign(Spec{CommonName: "kubernetes-admin", Organizations: []string{"kubeadm:cluster-admins"},
		Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, Now: issued, Algorithm: ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	access := Access{Cluster: "kubernetes", Server: "https://10.0.0.1:6443", CA: EncodeCert(ca.Cert), User: "kubernetes-admin"}
	cfg, err := access.WithPair(user)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "admin.conf")
	if err := WriteKubeconfig(path, cfg); err != nil {
		t.Fatal(err)
	}
	back, err := ReadKubeconfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if back.CurrentContext != "kubernetes-admin@kubernetes" {
		t.Errorf("context %q", back.CurrentContext)
	}
	pair, err := UserPair(back)
	if err != nil || !pair.Cert.Equal(user.Cert) {
		t.Errorf("pair %v, %v", pair, err)
	}
	if pair, err := UserPair(access.WithToken("abcdef.0123456789abcdef")); pair != nil || err != nil {
		t.Errorf("a token kubeconfig has no pair: %v, %v", pair, err)
	}
	back.CurrentContext = "gone"
	if _, _, err := Current(back); err == nil {
		t.Error("a dangling context must be an error")
	}
}

func TestPinIsOfTheKeyNotTheCertificate(t *testing.T) {
	ca := testCA(t)
	again, err := create(ca.Cert, ca.Cert, ca.Key, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if Pin(ca.Cert) != Pin(again.Cert) || !strings.HasPrefix(Pin(ca.Cert), "sha256:") || len(Pin(ca.Cert)) != 7+64 {
		t.Errorf("pins %s and %s", Pin(ca.Cert), Pin(again.Cert))
	}
}

func FuzzParse(f *testing.F) {
	ca := testCA(f)
	key, _ := EncodeKey(ca.Key)
	f.Add(EncodeCert(ca.Cert))
	f.Add(key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := ParseCerts(data); err == nil && len(list) == 0 {
			t.Error("no error and no certificate")
		}
		if key, err := ParseKey(data); err == nil && key == nil {
			t.Error("no error and no key")
		}
	})
}

func TestSelfSignedServes(t *testing.T) {
	chain, key, err := SelfSigned(Spec{CommonName: "localhost", DNSNames: []string{"localhost"}, Algorithm: ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(chain, key); err != nil {
		t.Fatal(err)
	}
	certificates, err := ParseCerts(chain)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain) // as a client that was handed the chain trusts it
	if _, err := certificates[0].Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots}); err != nil {
		t.Error(err)
	}
	if _, err := certificates[0].Verify(x509.VerifyOptions{DNSName: "example.org", Roots: roots}); err == nil {
		t.Error("the certificate is good for any name")
	}
}
