package auth

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	testingclock "k8s.io/utils/clock/testing"

	"pilotis.dev/pkg/certs"
)

// TestACertificateIsLookedAtNowAndThen asks with one connection again and again.
func TestACertificateIsLookedAtNowAndThen(t *testing.T) {
	fake := testingclock.NewFakeClock(time.Now())
	authority := func() (*certs.Pair, *x509.CertPool) {
		ca, err := certs.NewCA(certs.Spec{CommonName: "clients", Algorithm: certs.ECDSAP256})
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(ca.Cert)
		return ca, pool
	}
	ca, roots := authority()
	_, others := authority()
	client, err := ca.Sign(certs.Spec{CommonName: "ann", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, Validity: 25 * time.Second, Algorithm: certs.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}

	looks := 0
	conversion := x509request.UserConversionFunc(func(chain []*x509.Certificate) (*authenticator.Response, bool, error) {
		looks++
		return x509request.CommonNameUserConversion(chain)
	})
	current := roots
	c := newClientCertificates(func() (x509.VerifyOptions, bool) {
		return x509.VerifyOptions{Roots: current, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: fake.Now()}, true
	}, conversion, fake)
	connection := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{client.Cert}}
	for _, step := range []struct {
		what  string
		after time.Duration
		roots *x509.CertPool
		conn  *tls.ConnectionState
		known bool
		looks int
	}{
		{"the first request", 0, roots, connection, true, 1},
		{"the next one", 5 * time.Second, roots, connection, true, 1},
		{"another connection", 0, roots, &tls.ConnectionState{PeerCertificates: []*x509.Certificate{client.Cert}}, true, 2},
		{"no certificate", 0, roots, &tls.ConnectionState{}, false, 2},
		{"a new authority", 0, others, connection, false, 2},
		{"the authority of before", 0, roots, connection, true, 2},
		{"after ten seconds", 6 * time.Second, roots, connection, true, 3},
		{"after its time", 15 * time.Second, roots, connection, false, 3},
	} {
		fake.Step(step.after)
		current = step.roots
		response, ok, _ := c.AuthenticateRequest(&http.Request{TLS: step.conn})
		if ok != step.known || ok && response.User.GetName() != "ann" || looks != step.looks {
			t.Errorf("%s: known %t, expected %t; the certificate was looked at %d times, expected %d", step.what, ok, step.known, looks, step.looks)
		}
	}
}
