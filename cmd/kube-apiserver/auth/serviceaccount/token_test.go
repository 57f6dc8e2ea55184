package serviceaccount

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	jose "gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/component-base/metrics"
	clocktesting "k8s.io/utils/clock/testing"

	"pilotis.dev/pkg/tokens"
)

const issuerURL = "https://kubernetes.default.svc"

func meta(namespace, name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid)}
}

// world is a server with one account, one pod on one node, and one Secret.
type world struct {
	t      *testing.T
	clock  *clocktesting.FakeClock
	client *fake.Clientset
	lookup *Lookup
	keys   *Keys
	issuer *Issuer
	bound  *Authenticator
	legacy *Authenticator
	signer *tokens.Signer
	// secrets signs what stands in Secrets.
	secrets *tokens.Signer
}

func account() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: meta("ns", "robot", "sa-1")}
}

func newWorld(t *testing.T, objects ...runtime.Object) *world {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: clocktesting.NewFakeClock(time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC))}
	if objects == nil {
		objects = []runtime.Object{
			account(),
			&corev1.Pod{ObjectMeta: meta("ns", "web", "pod-1"), Spec: corev1.PodSpec{ServiceAccountName: "robot", NodeName: "n1"}},
			&corev1.Node{ObjectMeta: meta("", "n1", "node-1")},
			&corev1.Secret{ObjectMeta: meta("ns", "s", "secret-1")},
		}
	}
	w.client = fake.NewClientset(objects...)
	// empty caches: every look-up goes to the API, as right after a start
	core := informers.NewSharedInformerFactory(w.client, 0).Core().V1()
	w.lookup = &Lookup{ServiceAccounts: core.ServiceAccounts().Lister(), Pods: core.Pods().Lister(), Nodes: core.Nodes().Lister(), Client: w.client}
	if w.keys, err = LoadKeys(nil, key); err != nil {
		t.Fatal(err)
	}
	if w.signer, err = tokens.NewSigner(issuerURL, key); err != nil {
		t.Fatal(err)
	}
	if w.secrets, err = tokens.NewSigner(tokens.LegacyIssuer, key); err != nil {
		t.Fatal(err)
	}
	counters := NewMetrics(func(...metrics.Registerable) {})
	w.issuer = &Issuer{Signer: w.signer, Audiences: authenticator.Audiences{"api"}, Lookup: w.lookup, Extend: true, Clock: w.clock}
	w.bound = NewBoundAuthenticator([]string{issuerURL, "https://former"}, w.keys, authenticator.Audiences{"api"}, w.lookup, w.clock, counters)
	w.legacy = NewLegacyAuthenticator(w.keys, authenticator.Audiences{"api"}, w.lookup, true, w.clock, counters)
	return w
}

func (w *world) issue(spec authenticationv1.TokenRequestSpec) (*authenticationv1.TokenRequest, error) {
	req := &authenticationv1.TokenRequest{Spec: spec}
	if err := w.issuer.Prepare("ns", "robot", req); err != nil {
		return nil, err
	}
	return w.issuer.Issue(w.t.Context(), account(), req, false)
}

func (w *world) mustIssue(spec authenticationv1.TokenRequestSpec) *authenticationv1.TokenRequest {
	w.t.Helper()
	out, err := w.issue(spec)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func boundTo(kind, name, uid string) *authenticationv1.BoundObjectReference {
	return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name, UID: types.UID(uid)}
}

func seconds(n int64) *int64 { return &n }

func TestTokenLivesAsLongAsWhatItIsBoundTo(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bound *authenticationv1.BoundObjectReference
		end   func(t *testing.T, w *world)
		want  string
	}{
		{"expiry", nil, func(_ *testing.T, w *world) { w.clock.Step(time.Hour + 2*time.Minute) }, "service account token has expired"},
		{"service account deleted", nil, func(t *testing.T, w *world) {
			check(t, w.client.CoreV1().ServiceAccounts("ns").Delete(t.Context(), "robot", metav1.DeleteOptions{}))
		}, "service account token has been invalidated"},
		{"service account made anew", nil, func(t *testing.T, w *world) {
			check(t, w.client.CoreV1().ServiceAccounts("ns").Delete(t.Context(), "robot", metav1.DeleteOptions{}))
			_, err := w.client.CoreV1().ServiceAccounts("ns").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta("ns", "robot", "sa-2")}, metav1.CreateOptions{})
			check(t, err)
		}, "service account UID (sa-2) does not match claim (sa-1)"},
		{"pod deleted", boundTo("Pod", "web", "pod-1"), func(t *testing.T, w *world) {
			check(t, w.client.CoreV1().Pods("ns").Delete(t.Context(), "web", metav1.DeleteOptions{}))
		}, "service account token has been invalidated"},
		{"pod long past its grace period", boundTo("Pod", "web", "pod-1"), func(t *testing.T, w *world) {
			p, err := w.client.CoreV1().Pods("ns").Get(t.Context(), "web", metav1.GetOptions{})
			check(t, err)
			gone := metav1.NewTime(w.clock.Now().Add(-2 * time.Minute))
			p.DeletionTimestamp = &gone
			_, err = w.client.CoreV1().Pods("ns").Update(t.Context(), p, metav1.UpdateOptions{})
			check(t, err)
		}, "service account token has been invalidated"},
		{"secret deleted", boundTo("Secret", "s", "secret-1"), func(t *testing.T, w *world) {
			check(t, w.client.CoreV1().Secrets("ns").Delete(t.Context(), "s", metav1.DeleteOptions{}))
		}, "service account token has been invalidated"},
		{"node deleted", boundTo("Node", "n1", "node-1"), func(t *testing.T, w *world) {
			check(t, w.client.CoreV1().Nodes().Delete(t.Context(), "n1", metav1.DeleteOptions{}))
		}, "service account token has been invalidated"},
		{"a pod's token outlives the Node object", boundTo("Pod", "web", "pod-1"), func(t *testing.T, w *world) {
			check(t, w.client.CoreV1().Nodes().Delete(t.Context(), "n1", metav1.DeleteOptions{}))
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			token := w.mustIssue(authenticationv1.TokenRequestSpec{BoundObjectRef: tc.bound}).Status.Token
			if _, ok, err := w.bound.AuthenticateToken(t.Context(), token); !ok || err != nil {
				t.Fatalf("fresh token: %v %v", ok, err)
			}
			tc.end(t, w)
			_, ok, err := w.bound.AuthenticateToken(t.Context(), token)
			if tc.want == "" {
				if !ok || err != nil {
					t.Fatalf("got %v %v, want the token to be good still", ok, err)
				}
				return
			}
			if ok || err == nil || err.Error() != tc.want {
				t.Fatalf("got %v %v, want %q", ok, err, tc.want)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTokenTellsWhoAndWhere(t *testing.T) {
	w := newWorld(t)
	token := w.mustIssue(authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("Pod", "web", "pod-1")}).Status.Token
	resp, ok, err := w.bound.AuthenticateToken(t.Context(), token)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if got := resp.User.GetName(); got != "system:serviceaccount:ns:robot" {
		t.Errorf("user %q", got)
	}
	if got := strings.Join(resp.User.GetGroups(), " "); got != "system:serviceaccounts system:serviceaccounts:ns" {
		t.Errorf("groups %q", got)
	}
	for key, want := range map[string]string{
		"authentication.kubernetes.io/pod-name": "web", "authentication.kubernetes.io/pod-uid": "pod-1",
		"authentication.kubernetes.io/node-name": "n1", "authentication.kubernetes.io/node-uid": "node-1",
	} {
		if got := resp.User.GetExtra()[key]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %v, want %q", key, got, want)
		}
	}
	if id := resp.User.GetExtra()["authentication.kubernetes.io/credential-id"]; len(id) != 1 || !strings.HasPrefix(id[0], "JTI=") {
		t.Errorf("credential id %v", id)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec authenticationv1.TokenRequestSpec
		want string
	}{
		{"too short", authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(599)}, "may not specify a duration less than 10 minutes"},
		{"too long", authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(1<<32 + 1)}, "may not specify a duration larger than 2^32 seconds"},
		{"other kind", authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("ConfigMap", "x", "")}, "cannot bind token to object of type"},
		{"no such pod", authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("Pod", "x", "")}, `pods "x" not found`},
		{"former pod", authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("Pod", "web", "pod-0")}, "the UID in the bound object reference (pod-0) does not match the UID in record"},
		{"pod of another account", authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("Pod", "other", "")}, "running with different serviceaccount name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.client.CoreV1().Pods("ns").Create(t.Context(), &corev1.Pod{ObjectMeta: meta("ns", "other", "pod-2"), Spec: corev1.PodSpec{ServiceAccountName: "default"}}, metav1.CreateOptions{})
			check(t, err)
			if _, err := w.issue(tc.spec); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
		})
	}
	w := newWorld(t)
	req := &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Name: "somebody"}}
	if err := w.issuer.Prepare("ns", "robot", req); err == nil || !strings.Contains(err.Error(), "name in URL does not match") {
		t.Errorf("another name: %v", err)
	}
	req = &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{UID: "sa-0"}}
	check(t, w.issuer.Prepare("ns", "robot", req))
	if _, err := w.issuer.Issue(t.Context(), account(), req, false); err == nil || !strings.Contains(err.Error(), "does not match the UID of the service account") {
		t.Errorf("another UID: %v", err)
	}
}

func claimsOf(t *testing.T, token string) (jwt.Claims, privateClaims) {
	t.Helper()
	parsed, err := jwt.ParseSigned(token)
	check(t, err)
	var registered jwt.Claims
	var private privateClaims
	check(t, parsed.UnsafeClaimsWithoutVerification(&registered, &private))
	return registered, private
}

func TestLifetimes(t *testing.T) {
	day := 24 * time.Hour
	for _, tc := range []struct {
		name         string
		max          time.Duration
		spec         authenticationv1.TokenRequestSpec
		asked, lives time.Duration
	}{
		{"default", 0, authenticationv1.TokenRequestSpec{}, time.Hour, time.Hour},
		{"as asked", 0, authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(7200)}, 2 * time.Hour, 2 * time.Hour},
		{"shortened", time.Hour, authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(7200)}, time.Hour, time.Hour},
		{"pod's token is extended", 0, authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(3607), BoundObjectRef: boundTo("Pod", "web", "")}, 3607 * time.Second, 365 * day},
		{"not for other audiences", 0, authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(3607), Audiences: []string{"vault"}, BoundObjectRef: boundTo("Pod", "web", "")}, 3607 * time.Second, 3607 * time.Second},
		{"not without a pod", 0, authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(3607)}, 3607 * time.Second, 3607 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.issuer.MaxExpiration = tc.max
			out := w.mustIssue(tc.spec)
			if got := out.Status.ExpirationTimestamp.Sub(w.clock.Now()); got != tc.asked {
				t.Errorf("status says %s, want %s", got, tc.asked)
			}
			registered, private := claimsOf(t, out.Status.Token)
			if got := registered.Expiry.Time().Sub(w.clock.Now()); got != tc.lives {
				t.Errorf("token lives %s, want %s", got, tc.lives)
			}
			if extended := private.Kubernetes.WarnAfter != nil; extended != (tc.lives != tc.asked) {
				t.Errorf("warnafter present: %v", extended)
			}
		})
	}
}

func TestAudiences(t *testing.T) {
	w := newWorld(t)
	vault := w.mustIssue(authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}}).Status.Token
	both := w.mustIssue(authenticationv1.TokenRequestSpec{Audiences: []string{"vault", "api"}}).Status.Token
	for _, tc := range []struct {
		name  string
		token string
		asked authenticator.Audiences
		want  string
	}{
		{"for another, at the API", vault, nil, ""},
		{"for another, asked by it", vault, authenticator.Audiences{"vault", "x"}, "vault"},
		{"for both, at the API", both, nil, "api"},
		{"for both, asked by a third", both, authenticator.Audiences{"x"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := t.Context()
			if tc.asked != nil {
				ctx = authenticator.WithAudiences(ctx, tc.asked)
			}
			resp, ok, err := w.bound.AuthenticateToken(ctx, tc.token)
			if tc.want == "" {
				if ok || err == nil || !strings.Contains(err.Error(), "is invalid for the target audiences") {
					t.Fatalf("got %v %v", ok, err)
				}
				return
			}
			if err != nil || !ok || strings.Join(resp.Audiences, ",") != tc.want {
				t.Fatalf("got %v %v %v", resp, ok, err)
			}
		})
	}
}

func TestForgedTokens(t *testing.T) {
	w := newWorld(t)
	good := w.mustIssue(authenticationv1.TokenRequestSpec{}).Status.Token
	registered, private := claimsOf(t, good)
	sign := func(alg jose.SignatureAlgorithm, key any) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
		check(t, err)
		token, err := jwt.Signed(s).Claims(private).Claims(registered).CompactSerialize()
		check(t, err)
		return token
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	parts := strings.Split(good, ".")
	public := w.keys.all[0].key.(*rsa.PublicKey).N.Bytes()
	for name, token := range map[string]string{
		"another key":                       sign(jose.ES256, foreign),
		"public key as HMAC secret":         sign(jose.HS256, public),
		"signature cut off":                 parts[0] + "." + parts[1] + ".",
		"algorithm none":                    "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"payload of another, old signature": parts[0] + "." + strings.TrimRight(parts[1], "A") + "QQ." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			if resp, ok, _ := w.bound.AuthenticateToken(t.Context(), token); ok {
				t.Fatalf("accepted: %v", resp.User)
			}
		})
	}
	for name, change := range map[string]func(){
		"without expiry":          func() { registered.Expiry = nil },
		"not valid yet":           func() { registered.NotBefore = jwt.NewNumericDate(w.clock.Now().Add(time.Hour)) },
		"without service account": func() { private.Kubernetes = nil },
	} {
		t.Run(name, func(t *testing.T) {
			registered, private = claimsOf(t, good)
			change()
			token, err := w.signer.Sign(registered, private)
			check(t, err)
			if _, ok, err := w.bound.AuthenticateToken(t.Context(), token); ok || err == nil {
				t.Fatalf("got %v %v", ok, err)
			}
		})
	}
}

func TestTokensOfOthersAreLeftToOthers(t *testing.T) {
	w := newWorld(t)
	s, err := tokens.NewSigner("https://elsewhere", mustKey(t))
	check(t, err)
	foreign, err := s.Sign(jwt.Claims{Subject: "x"}, privateClaims{})
	check(t, err)
	for _, token := range []string{"", "abcdef.0123456789abcdef", "a.b.c", foreign, strings.Repeat("x", maxTokenBytes+1)} {
		if _, ok, err := w.bound.AuthenticateToken(t.Context(), token); ok || err != nil {
			t.Errorf("got %v %v", ok, err)
		}
	}
}

func mustKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	return key
}

func TestEllipticKeysSignAndVerify(t *testing.T) {
	w := newWorld(t)
	key := mustKey(t)
	keys, err := LoadKeys(nil, key)
	check(t, err)
	signer, err := tokens.NewSigner("https://former", key)
	check(t, err)
	w.issuer.Signer, w.bound.keys = signer, keys
	token := w.mustIssue(authenticationv1.TokenRequestSpec{}).Status.Token
	if _, ok, err := w.bound.AuthenticateToken(context.Background(), token); !ok || err != nil {
		t.Fatal(ok, err)
	}
}
