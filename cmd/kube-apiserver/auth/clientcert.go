package auth

import (
	"crypto/x509"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/utils/clock"
)

// verifiedFor is how long a client's certificate is good without another look at it, as long as a token is.
const verifiedFor = 10 * time.Second

// clientCertificates authenticates by the certificate of a connection. Each request brings it again; to check its signature
// each time would be 5 to 7 % of a request's CPU time.
type clientCertificates struct {
	options  x509request.VerifyOptionFunc
	next     authenticator.Request
	clock    clock.Clock
	verified *cache.Expiring // verifiedClient by *tls.ConnectionState
}

// verifiedClient is what a connection's certificate was found to say under an authority.
type verifiedClient struct {
	authority *x509.CertPool
	response  authenticator.Response
}

func newClientCertificates(options x509request.VerifyOptionFunc, conversion x509request.UserConversion, clock clock.Clock) *clientCertificates {
	return &clientCertificates{options: options, next: x509request.NewDynamic(options, conversion), clock: clock, verified: cache.NewExpiringWithClock(clock)}
}

// AuthenticateRequest implements authenticator.Request. A change of the authority's file counts at once, and the end of the client
// certificate's time; that of a certificate between the two counts within verifiedFor.
func (c *clientCertificates) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	options, ok := c.options()
	if !ok || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return c.next.AuthenticateRequest(r)
	}
	if known, ok := c.verified.Get(r.TLS); ok && known.(verifiedClient).authority == options.Roots {
		response := known.(verifiedClient).response
		return &response, true, nil
	}
	response, ok, err := c.next.AuthenticateRequest(r)
	if ok && err == nil {
		left := r.TLS.PeerCertificates[0].NotAfter.Sub(c.clock.Now())
		c.verified.Set(r.TLS, verifiedClient{options.Roots, *response}, min(verifiedFor, left))
	}
	return response, ok, err
}
