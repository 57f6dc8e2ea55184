package proxied

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Rule says why nobody may be proxied to an address; nil for one that is allowed.
type Rule func(ip net.IP) error

// Anywhere is the rule of who opened the proxies to this machine's own addresses (--proxy-reject-local-addresses=false).
func Anywhere(net.IP) error { return nil }

// Forbidden says why nobody may be proxied to ip; it is nil for ordinary addresses. Loopback and link-local addresses
// belong to the machine this server runs on, not to what was asked for (CVE-2020-8562, CVE-2022-3294).
func Forbidden(ip net.IP) error {
	switch {
	case ip == nil:
		return fmt.Errorf("address not allowed: no IP address")
	case ip.IsLoopback(), ip.IsLinkLocalUnicast(), ip.IsInterfaceLocalMulticast(), ip.IsLinkLocalMulticast(), ip.IsUnspecified():
		return fmt.Errorf("address not allowed: %s is not reachable through the proxy", ip)
	}
	return nil
}

// Dialer returns a dialer that holds the address it is about to connect to to the rule. A name is resolved once, so that it
// cannot mean one thing when checked and another when dialed.
func (r Rule) Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: timeout, KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return err
			}
			return r(net.ParseIP(host))
		},
	}
}

// Transport returns a transport that connects by a Dialer.
func (r Rule) Transport() *http.Transport {
	return utilnet.SetTransportDefaults(&http.Transport{
		DialContext: r.Dialer(30 * time.Second).DialContext,
		// Nobody of this cluster vouches for what pods and services serve (API reference, proxy).
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // see above
		Proxy:           func(*http.Request) (*url.URL, error) { return nil, nil },
	})
}

// CheckHost refuses a literal address that must not be proxied to with a clear answer; names are checked when dialed.
func (r Rule) CheckHost(host string) error {
	if ip := net.ParseIP(host); ip != nil {
		if err := r(ip); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	}
	return nil
}
