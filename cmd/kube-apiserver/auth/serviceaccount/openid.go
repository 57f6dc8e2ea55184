package serviceaccount

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Paths of the service account issuer discovery (KEP-1393).
const (
	OpenIDConfigPath = "/.well-known/openid-configuration"
	JWKSPath         = "/openid/v1/jwks"
)

// OpenID serves what a relying party needs in order to verify tokens without asking this server about each:
// the OpenID provider metadata and the key set.
type OpenID struct {
	config, keys []byte
}

// NewOpenID returns the documents. The issuer must be an https URL; jwksURI may be empty, and is then a path of
// this server's address.
func NewOpenID(issuer, jwksURI, externalAddress string, keys *Keys) (*OpenID, error) {
	iss, err := url.Parse(issuer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("issuer URL %q: %w", issuer, err)
	case iss.Scheme != "https" || iss.Host == "":
		return nil, fmt.Errorf("issuer URL must use https scheme, got: %s", issuer)
	case iss.RawQuery != "" || iss.Fragment != "":
		return nil, fmt.Errorf("issuer URL may not include a query or a fragment, got: %s", issuer)
	}
	jwks := &url.URL{Scheme: "https", Host: externalAddress, Path: JWKSPath}
	if jwksURI != "" {
		if jwks, err = url.Parse(jwksURI); err != nil {
			return nil, fmt.Errorf("JWKS URI %q: %w", jwksURI, err)
		}
		if jwks.Scheme != "https" {
			return nil, fmt.Errorf("JWKS URI must use https scheme, got: %s", jwksURI)
		}
	}
	set, algorithms, err := keys.JWKS()
	if err != nil {
		return nil, fmt.Errorf("encoding service account keys: %w", err)
	}
	config, err := json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		JWKSURI       string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	}{issuer, jwks.String(), []string{"id_token"}, []string{"public"}, algorithms})
	if err != nil {
		return nil, fmt.Errorf("encoding OpenID provider metadata: %w", err)
	}
	return &OpenID{config: config, keys: set}, nil
}

// Install adds the two paths to a mux.
func (o *OpenID) Install(mux interface {
	Handle(path string, handler http.Handler)
}) {
	mux.Handle(OpenIDConfigPath, document("application/json", o.config))
	mux.Handle(JWKSPath, document("application/jwk-set+json", o.keys))
}

func document(contentType string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = w.Write(body) // the client went away; nobody is left to tell
	})
}
