package protection

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"pilotis.dev/test/e2e/daemons"
)

// issuer is an OpenID provider: a discovery document, keys, and tokens of them.
type issuer struct {
	endpoint
	key *rsa.PrivateKey
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	var err error
	i.key, err = rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["RS256"]}`, i.url, i.url+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":"1","n":%q,"e":%q}]}`,
			encode(i.key.N.Bytes()), encode(big.NewInt(int64(i.key.E)).Bytes()))
	})
	i.endpoint = listen(t, mux)
	return i
}

// token signs claims; those of time, issuer and audience are given unless the claims say otherwise.
func (i *issuer) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": i.url, "aud": "cluster", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	for k, v := range claims {
		all[k] = v
	}
	body, err := json.Marshal(all)
	must(t, err)
	text := encode([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + encode(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	must(t, err)
	return text + "." + encode(signature)
}

// whoami asks who a client is to the server.
func (s *server) whoami(t *testing.T, config *rest.Config) (authenticationv1.UserInfo, error) {
	t.Helper()
	got, err := clientOf(t, config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return got.Status.UserInfo, nil
}

// known waits until a token is somebody's: the server learns of an issuer in the background.
func (s *server) known(t *testing.T, token, want string) (user authenticationv1.UserInfo) {
	t.Helper()
	daemons.Eventually(t, "the token to be of "+want, func() (string, bool) {
		var err error
		user, err = s.whoami(t, s.withToken(token))
		return fmt.Sprint(user.Username, err), user.Username == want
	})
	return user
}

func (s *server) nobody(t *testing.T, what, token string) {
	t.Helper()
	if user, err := s.whoami(t, s.withToken(token)); err == nil {
		t.Errorf("%s makes %v", what, user)
	}
}

func TestOIDCFlags(t *testing.T) {
	t.Parallel()
	i, other := newIssuer(t), newIssuer(t)
	s := serve(t, "--oidc-issuer-url="+i.url, "--oidc-client-id=cluster", "--oidc-ca-file="+temporary(t, "ca.crt", i.authority), "--oidc-username-claim=email",
		"--oidc-username-prefix=oidc:", "--oidc-groups-claim=teams", "--oidc-groups-prefix=team:", "--oidc-required-claim=org=pilotis")
	claims := func(more ...string) map[string]any {
		c := map[string]any{"email": "ann@example.com", "email_verified": true, "teams": []string{"a", "b"}, "org": "pilotis"}
		for i := 0; i < len(more); i += 2 {
			c[more[i]] = more[i+1]
		}
		return c
	}
	user := s.known(t, i.token(t, claims()), "oidc:ann@example.com")
	if !slices.Equal(user.Groups, []string{"team:a", "team:b", "system:authenticated"}) {
		t.Errorf("groups %v", user.Groups)
	}
	s.nobody(t, "another audience", i.token(t, claims("aud", "else")))
	s.nobody(t, "a missing claim", i.token(t, claims("org", "else")))
	s.nobody(t, "another issuer", other.token(t, claims()))
	s.nobody(t, "another's key", other.token(t, claims("iss", i.url)))
	expired := claims()
	expired["exp"] = time.Now().Add(-time.Hour).Unix()
	s.nobody(t, "an expired token", i.token(t, expired))
	unverified := claims()
	unverified["email_verified"] = false
	s.nobody(t, "an address that nobody verified", i.token(t, unverified))
}

// configuration is one of an issuer whose users are named by a CEL expression.
func configuration(i *issuer, username, anonymous string) string {
	return fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous: %s
jwt:
- issuer: {url: %q, audiences: [cluster, other], audienceMatchPolicy: MatchAny, certificateAuthority: %q}
  claimValidationRules:
  - {expression: 'claims.level >= 3', message: the level must be 3 or more}
  claimMappings:
    username: {expression: %q}
    groups: {expression: claims.roles}
    uid: {expression: claims.sub}
    extra: [{key: example.com/level, valueExpression: 'string(claims.level)'}]
  userValidationRules:
  - {expression: "!user.username.startsWith('system:')", message: no name of the system's}
`, anonymous, i.url, i.authority, username)
}

func TestAuthenticationConfiguration(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const health = `{enabled: true, conditions: [{path: /livez}, {path: /healthz}]}`
	path := filepath.Join(t.TempDir(), "authentication.yaml")
	file(t, path, configuration(i, "'jwt-' + claims.name", health))
	s := serve(t, "--authentication-config="+path)
	token := func(name string, level int) string {
		return i.token(t, map[string]any{"sub": "u-1", "name": name, "roles": []string{"x", "y"}, "level": level})
	}
	user := s.known(t, token("ann", 3), "jwt-ann")
	if user.UID != "u-1" || !slices.Equal(user.Groups, []string{"x", "y", "system:authenticated"}) || fmt.Sprint(user.Extra["example.com/level"]) != "[3]" {
		t.Errorf("user %+v", user)
	}
	s.nobody(t, "a claim that is not valid", token("ann", 2))
	nameless := rest.AnonymousClientConfig(s.admin)
	if got := get(t, nameless, "/livez"); got.code != 200 {
		t.Errorf("anonymous at /livez: %v", got)
	}
	for _, path := range []string{"/readyz", "/version", "/api", "/livez/ping"} {
		if got := get(t, nameless, path); got.code != 401 {
			t.Errorf("anonymous at %s: %v", path, got)
		}
	}
	// A broken file changes nothing; a good one counts at once, also for tokens that were taken before.
	file(t, path, strings.Replace(configuration(i, "claims.name", "{enabled: false}"), "jwt:", "jwts:", 1))
	file(t, path, configuration(i, "'system:' + claims.name", health))
	daemons.Eventually(t, "the rule for names to refuse", func() (string, bool) {
		got, err := s.whoami(t, s.withToken(token("ann", 4)))
		return fmt.Sprint(got, err), err != nil
	})
	file(t, path, configuration(i, "'new-' + claims.name", health))
	s.known(t, token("ann", 5), "new-ann")
}
