// Package noredirect keeps the server's clients from following redirects: who runs a webhook could else point this
// server at addresses that only it reaches, and read the answers in error messages and logs (CVE-2020-8561).
package noredirect

import (
	"fmt"
	"net/http"

	"k8s.io/client-go/rest"
)

// Wrap makes clients of the configuration refuse redirects.
func Wrap(config *rest.Config) { config.Wrap(Transport) }

// Transport returns rt without redirects: an answer that points elsewhere is an error.
func Transport(rt http.RoundTripper) http.RoundTripper { return transport{rt} }

type transport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 || resp.StatusCode == http.StatusNotModified {
		return resp, err
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	return nil, fmt.Errorf("%s answered %d: redirects of webhooks are not followed", r.URL.Redacted(), resp.StatusCode)
}

// WrappedRoundTripper lets client-go see through to the connection.
func (t transport) WrappedRoundTripper() http.RoundTripper { return t.next }
