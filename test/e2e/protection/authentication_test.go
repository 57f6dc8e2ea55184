package protection

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/e2e/daemons"
)

// A webhook, a file and the headers of a proxy tell who somebody is.
func TestTokensAndHeaders(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	hook := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		_ = json.NewDecoder(r.Body).Decode(&review) // no review is no token
		asked <- review.Spec.Token
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: review.Spec.Token == "from-the-hook", User: authenticationv1.UserInfo{
			Username: "hook", UID: "7", Groups: []string{"g"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}},
		}}
		_ = json.NewEncoder(w).Encode(review)
	}))
	s := serve(t, "--token-auth-file="+temporary(t, "tokens.csv", "from-the-file,filed,9,\"a,b\"\n"), "--authentication-token-webhook-config-file="+hook.kubeconfig(t, "/"),
		"--authentication-token-webhook-version=v1", "--authentication-token-webhook-cache-ttl=1m")
	filed := s.known(t, "from-the-file", "filed")
	if filed.UID != "9" || !slices.Equal(filed.Groups, []string{"a", "b", "system:authenticated"}) {
		t.Errorf("from the file: %+v", filed)
	}
	hooked := s.known(t, "from-the-hook", "hook")
	if hooked.UID != "7" || hooked.Groups[0] != "g" || hooked.Extra["k"][0] != "v" {
		t.Errorf("from the webhook: %+v", hooked)
	}
	before := len(asked)
	s.known(t, "from-the-hook", "hook")
	if len(asked) != before {
		t.Error("the webhook is asked again within --authentication-token-webhook-cache-ttl")
	}
	s.nobody(t, "a token that nobody knows", "unknown")

	proxy := rest.AnonymousClientConfig(s.admin)
	var err error
	proxy.CertData, proxy.KeyData, err = certificates.Sign("front-proxy-ca", "front-proxy-client")
	must(t, err)
	got := send(t, proxy, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`,
		"X-Remote-User", "proxied", "X-Remote-Group", "one", "X-Remote-Extra-Scopes", "wide")
	for _, want := range []string{`"username":"proxied"`, `"one"`, `"scopes":["wide"]`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("by headers: %v, want %s", got, want)
		}
	}
}

func TestImpersonation(t *testing.T) {
	t.Parallel()
	s := serve(t)
	act := func(config *rest.Config) authenticationv1.UserInfo {
		t.Helper()
		config.Impersonate = rest.ImpersonationConfig{UserName: "actor", UID: "u-9", Groups: []string{"crew"}, Extra: map[string][]string{"example.com/reason": {"Test"}}}
		user, err := s.whoami(t, config)
		if err != nil {
			return authenticationv1.UserInfo{Username: err.Error()}
		}
		return user
	}
	got := act(rest.CopyConfig(s.admin))
	if got.Username != "actor" || got.UID != "u-9" || got.Groups[0] != "crew" || fmt.Sprint(got.Extra["example.com/reason"]) != "[Test]" {
		t.Errorf("impersonated: %+v", got)
	}
	// Each part needs its own right.
	rule := func(resource string) string {
		group := `"authentication.k8s.io"`
		if resource == "users" || resource == "groups" {
			group = `""`
		}
		return fmt.Sprintf(`{"apiGroups":[%s],"resources":[%q],"verbs":["impersonate"]}`, group, resource)
	}
	all := []string{"users", "groups", "uids", "userextras/example.com/reason"}
	send(t, s.admin, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"actors"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"actors"},"subjects":[{"kind":"User","name":"ann"}]}`)
	for without := range append(all, "") {
		var rules []string
		for i, resource := range all {
			if i != without {
				rules = append(rules, rule(resource))
			}
		}
		role := `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"actors"},"rules":[` + strings.Join(rules, ",") + `]}`
		must(t, s.client.RbacV1().RESTClient().Patch(types.ApplyPatchType).Resource("clusterroles").Name("actors").Param("fieldManager", "test").Param("force", "true").Body([]byte(role)).Do(t.Context()).Error())
		daemons.Eventually(t, fmt.Sprintf("impersonation with %v", rules), func() (string, bool) {
			user := act(s.as(t, "ann"))
			if without == len(all) {
				return user.Username, user.Username == "actor"
			}
			return user.Username, strings.Contains(user.Username, `User "ann" cannot impersonate`)
		})
	}
}

// Tokens of service accounts are for their audience, and end with the pod, Secret or node that they are bound to; who verifies
// them elsewhere finds the keys by the issuer's documents.
func TestServiceAccountTokens(t *testing.T) {
	t.Parallel()
	s := serve(t, "--service-account-issuer=https://issuer.example", "--api-audiences=api,https://issuer.example")
	ctx := t.Context()
	core := s.client.CoreV1()
	daemons.Eventually(t, "the namespace default", func() (string, bool) {
		_, err := core.Namespaces().Get(ctx, "default", metav1.GetOptions{})
		return fmt.Sprint(err), err == nil
	})
	account, err := core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{})
	must(t, err)
	pod, err := core.Pods("default").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{
		ServiceAccountName: "robot", Containers: []corev1.Container{{Name: "c", Image: "i"}}, TerminationGracePeriodSeconds: ptr.To(int64(0)),
	}}, metav1.CreateOptions{})
	must(t, err)
	secret, err := core.Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{})
	must(t, err)
	node, err := core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{})
	must(t, err)
	token := func(bound *authenticationv1.BoundObjectReference, audiences ...string) string {
		t.Helper()
		got, err := core.ServiceAccounts("default").CreateToken(ctx, "robot", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			Audiences: audiences, BoundObjectRef: bound,
		}}, metav1.CreateOptions{})
		must(t, err)
		return got.Status.Token
	}
	const robot = "system:serviceaccount:default:robot"
	s.known(t, token(nil), robot)
	s.nobody(t, "a token for another audience", token(nil, "vault"))
	review, err := s.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{
		Token: token(nil, "vault"), Audiences: []string{"vault", "else"},
	}}, metav1.CreateOptions{})
	if err != nil || !review.Status.Authenticated || review.Status.User.Username != robot || !slices.Equal(review.Status.Audiences, []string{"vault"}) {
		t.Errorf("TokenReview: %+v %v", review, err)
	}
	zero := metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}
	for kind, bound := range map[string]struct {
		uid    types.UID
		name   string
		delete func() error
	}{
		"Pod":    {pod.UID, "p", func() error { return core.Pods("default").Delete(ctx, "p", zero) }},
		"Secret": {secret.UID, "s", func() error { return core.Secrets("default").Delete(ctx, "s", zero) }},
		"Node":   {node.UID, "n", func() error { return core.Nodes().Delete(ctx, "n", zero) }},
	} {
		of := token(&authenticationv1.BoundObjectReference{Kind: kind, APIVersion: "v1", Name: bound.name, UID: bound.uid})
		user := s.known(t, of, robot)
		if key := "authentication.kubernetes.io/" + strings.ToLower(kind) + "-name"; kind != "Secret" && fmt.Sprint(user.Extra[key]) != "["+bound.name+"]" {
			t.Errorf("the token of a %s tells %v", kind, user.Extra)
		}
		must(t, bound.delete())
		daemons.Eventually(t, "the token of the "+kind+" to end with it", func() (string, bool) {
			_, err := s.whoami(t, s.withToken(of))
			return fmt.Sprint(err), err != nil
		})
	}
	last := token(nil)
	s.known(t, last, robot)
	must(t, core.ServiceAccounts("default").Delete(ctx, account.Name, zero))
	daemons.Eventually(t, "the token to end with its account", func() (string, bool) {
		_, err := s.whoami(t, s.withToken(last))
		return fmt.Sprint(err), err != nil
	})
	discovery := get(t, s.admin, "/.well-known/openid-configuration")
	if !strings.Contains(discovery.body, `"issuer":"https://issuer.example"`) || !strings.Contains(discovery.body, "/openid/v1/jwks") {
		t.Errorf("discovery document: %v", discovery)
	}
	if keys := get(t, s.admin, "/openid/v1/jwks"); !strings.Contains(keys.body, `"kty":"RSA"`) || keys.header.Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("keys: %v %v", keys, keys.header)
	}
}
