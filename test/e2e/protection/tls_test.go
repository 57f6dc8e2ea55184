package protection

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"pilotis.dev/test/e2e/daemons"
	"pilotis.dev/test/e2e/testcert"
)

// pair writes a new certificate for a name and its key.
func pair(t *testing.T, dir, file1, name string) (certificate, key string) {
	t.Helper()
	_, c, k, err := testcert.Serving(name)
	must(t, err)
	return file(t, filepath.Join(dir, file1+".crt"), c), file(t, filepath.Join(dir, file1+".key"), k)
}

// shown is the name of the certificate that a client of a server name is shown.
func (s *server) shown(t *testing.T, serverName string, config *tls.Config) (string, error) {
	t.Helper()
	config = config.Clone()
	config.ServerName, config.InsecureSkipVerify = serverName, true // the certificate is looked at here
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: daemons.Patience}, "tcp", fmt.Sprintf("127.0.0.1:%d", s.port), config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// Certificates, those by name among them, and the authority of clients are read anew while the server runs.
func TestCertificatesReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	crt, key := pair(t, dir, "serving", "before.example")
	sniCrt, sniKey := pair(t, dir, "sni", "named.example")
	ca, err := os.ReadFile(certificates.At("ca.crt"))
	must(t, err)
	other, err := os.ReadFile(certificates.At("front-proxy-ca.crt"))
	must(t, err)
	authority := file(t, filepath.Join(dir, "ca.crt"), string(ca))
	s := start(t, "--tls-cert-file="+crt, "--tls-private-key-file="+key, "--tls-sni-cert-key="+sniCrt+","+sniKey, "--client-ca-file="+authority)
	s.admin.TLSClientConfig.Insecure, s.admin.TLSClientConfig.CAData = true, nil
	must(t, daemons.AwaitReady(s.admin))
	expect := func(serverName, want string) {
		t.Helper()
		daemons.Eventually(t, serverName+" to be shown "+want, func() (string, bool) {
			got, err := s.shown(t, serverName, &tls.Config{})
			return fmt.Sprint(got, err), got == want
		})
	}
	expect("any.example", "before.example")
	expect("named.example", "named.example")
	pair(t, dir, "serving", "after.example")
	expect("any.example", "after.example")
	expect("named.example", "named.example")

	config := s.as(t, "", "")
	config.CertData, config.KeyData, err = certificates.Sign("front-proxy-ca", "stranger")
	must(t, err)
	const whoami = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
	ask := func() reply {
		return send(t, config, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", whoami)
	}
	if got := ask(); got.code == 201 {
		t.Errorf("a client of an unknown authority is known: %v", got)
	}
	file(t, authority, string(ca)+string(other))
	daemons.Eventually(t, "a client of the new authority to be known", func() (string, bool) {
		got := ask()
		return got.String(), got.code == 201
	})
}

func TestVersionsAndCipherSuites(t *testing.T) {
	t.Parallel()
	s := serve(t, "--tls-min-version=VersionTLS12", "--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
	with := func(maximum uint16, suites ...uint16) error {
		_, err := s.shown(t, "kubernetes", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: maximum, CipherSuites: suites})
		return err
	}
	if err := with(tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if err := with(tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384); err == nil {
		t.Error("a cipher suite that is not listed is spoken")
	}
	must(t, with(tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256))
	must(t, with(tls.VersionTLS13))
	strict := serve(t, "--tls-min-version=VersionTLS13")
	if _, err := strict.shown(t, "kubernetes", &tls.Config{MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is spoken below --tls-min-version=VersionTLS13")
	}
	if _, err := strict.shown(t, "kubernetes", &tls.Config{}); err != nil {
		t.Error(err)
	}
}
