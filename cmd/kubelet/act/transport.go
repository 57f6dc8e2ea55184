package act

import (
	"crypto/tls"
	"net/http"
)

// insecureTransport talks to pods, whose certificates are for other names than their addresses (API reference of
// HTTPGetAction: certificates are not verified).
func insecureTransport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
}
