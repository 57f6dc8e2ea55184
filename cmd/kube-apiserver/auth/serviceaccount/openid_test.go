package serviceaccount

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	jose "gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
)

func TestRelyingPartyVerifiesATokenByTheDocuments(t *testing.T) {
	w := newWorld(t)
	o, err := NewOpenID(issuerURL, "", "192.0.2.1:6443", w.keys)
	check(t, err)
	mux := http.NewServeMux()
	o.Install(mux)
	get := func(path string, into any) *httptest.ResponseRecorder {
		r := httptest.NewRecorder()
		mux.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
		check(t, json.Unmarshal(r.Body.Bytes(), into))
		return r
	}
	var config map[string]any
	if r := get(OpenIDConfigPath, &config); r.Header().Get("Content-Type") != "application/json" {
		t.Errorf("content type %q", r.Header().Get("Content-Type"))
	}
	if config["issuer"] != issuerURL || config["jwks_uri"] != "https://192.0.2.1:6443/openid/v1/jwks" {
		t.Errorf("config %v", config)
	}
	var set jose.JSONWebKeySet
	if r := get(JWKSPath, &set); r.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("content type %q", r.Header().Get("Content-Type"))
	}
	token, err := jwt.ParseSigned(w.mustIssue(authenticationv1.TokenRequestSpec{}).Status.Token)
	check(t, err)
	keys := set.Key(token.Headers[0].KeyID)
	if len(keys) != 1 {
		t.Fatalf("the set has %d keys of the token's ID", len(keys))
	}
	var claims jwt.Claims
	check(t, token.Claims(keys[0].Key, &claims))
	if claims.Issuer != issuerURL {
		t.Errorf("issuer %q", claims.Issuer)
	}
}

func TestDiscoveryNeedsHTTPS(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct{ issuer, jwks, want string }{
		{"kubernetes", "", "must use https scheme"},
		{"http://x", "", "must use https scheme"},
		{"https://x?y=z", "", "may not include a query"},
		{"https://x", "http://x/keys", "JWKS URI must use https scheme"},
	} {
		if _, err := NewOpenID(tc.issuer, tc.jwks, "h:1", w.keys); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: got %v", tc, err)
		}
	}
}

func FuzzAuthenticateToken(f *testing.F) {
	w := newWorld(&testing.T{})
	f.Add("")
	f.Add("a.b.c")
	f.Add("abcdef.0123456789abcdef")
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMifQ.")
	f.Add("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50IiwiZXhwIjotMX0.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		for _, a := range []*Authenticator{w.bound, w.legacy} {
			if _, ok, _ := a.AuthenticateToken(t.Context(), token); ok {
				t.Fatalf("a token that nobody signed was accepted: %q", token)
			}
		}
	})
}
