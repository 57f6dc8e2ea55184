package apiserver

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"pilotis.dev/test/e2e/daemons"
)

// TestOtherServer: with the most talkative log and an audit of each request, no credential is written anywhere
// (CVE-2019-11250, CVE-2020-8565). And externalIPs, off by default, can be had.
func TestOtherServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	audit := filepath.Join(dir, "audit.yaml")
	if err := os.WriteFile(audit, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loud := made(startServer(dir, "/registry-loud", "--v=10", "--audit-policy-file="+audit, "--audit-log-path="+filepath.Join(dir, "audit.log"),
		"--disable-admission-plugins=DenyServiceExternalIPs")).or(t)
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			stop(loud.Daemon)
		}
	})
	ns := loud.namespace(t)
	made(loud.client.CoreV1().Services(ns).Create(t.Context(), externalIPs("wanted"), metav1.CreateOptions{})).or(t)

	token := made(loud.client.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})).or(t).Status.Token
	const bootstrap, wrong, password = "abcdef.0123456789abcdef", "wrong-token-of-somebody", "cGFzc3dvcmQtb2Ytc29tZWJvZHk=" // base64 as a header has it
	made(loud.client.CoreV1().Secrets("kube-system").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: corev1.SecretTypeBootstrapToken,
		StringData: map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"},
	}, metav1.CreateOptions{})).or(t)
	made(loud.client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})).or(t)
	anybody := callerOf(t, rest.AnonymousClientConfig(loud.admin))
	daemons.Eventually(t, "the bootstrap token to be known", func() (string, bool) {
		got := anybody.mustSend(t, "GET", "/api", "", "Authorization", "Bearer "+bootstrap)
		return got.String(), got.code == http.StatusOK
	})
	for _, credential := range []string{"Bearer " + token, "bearer " + wrong, "Basic " + password} {
		for _, path := range []string{"/api/v1/namespaces/" + ns + "/pods", "/apis", "/no/such/path", "/api/v1/namespaces/" + ns + "/pods?watch=true&timeoutSeconds=1"} {
			anybody.mustSend(t, "GET", path, "", "Authorization", credential)
		}
	}
	socket := "base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(token))
	connect(t, rest.AnonymousClientConfig(loud.admin)).ask(t, "GET", "/api/v1/namespaces/"+ns+"/pods?watch=true&timeoutSeconds=1",
		append(slices.Clone(toWebSocket), "Sec-WebSocket-Protocol", socket+", base64.binary.k8s.io")...)

	stopped = true
	if err := loud.Stop(); err != nil {
		t.Fatal(err)
	}
	written := string(loud.Log()) + string(made(os.ReadFile(filepath.Join(dir, "audit.log"))).or(t))
	if !strings.Contains(written, "/api/v1/namespaces/"+ns+"/pods") {
		t.Fatal("the requests are not in the log, so nothing is proven")
	}
	for name, secret := range map[string]string{
		"the service account's token": token, "its signature": token[strings.LastIndex(token, ".")+1:], "a wrong token": wrong, "a password": password,
		"a bootstrap token": bootstrap, "a token in a WebSocket's protocol": strings.TrimPrefix(socket, "base64url.bearer.authorization.k8s.io."),
	} {
		if at := strings.Index(written, secret); at >= 0 {
			t.Errorf("%s is written: %q", name, strings.ReplaceAll(written[max(0, at-200):at+len(secret)], secret, "…"))
		}
	}
	// Neither is the one by which the server talks to itself.
	if bearer := regexp.MustCompile(`(?i)bearer [a-z0-9._=-]{16,}`).FindString(written); bearer != "" {
		t.Errorf("a token is written: %.14s…", bearer)
	}
}

// CVE-2019-11248 of this server: what tells of the process is for those who were given it.
func TestProfilesNeedRights(t *testing.T) {
	t.Parallel()
	user := callerOf(t, shared.as(t, "somebody"))
	anonymous := callerOf(t, rest.AnonymousClientConfig(shared.admin))
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1", "/debug/flags/v", "/metrics", "/logs/", "/configz", "/flagz", "/statusz", "/debug/api_priority_and_fairness/dump_requests"} {
		for who, caller := range map[string]*caller{"anonymous": anonymous, "an ordinary user": user} {
			if got := caller.mustSend(t, "GET", path, ""); got.code != http.StatusForbidden {
				t.Errorf("%s of %s: %v", path, who, got)
			}
		}
	}
}

// A client that is no front proxy is who its certificate says, whatever headers it sends.
func TestHeadersMakeNobody(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]*rest.Config{"somebody": shared.as(t, "somebody"), "front-proxy-client": shared.as(t, "front-proxy-client"), "system:anonymous": rest.AnonymousClientConfig(shared.admin)} {
		caller := callerOf(t, config)
		header := []string{"X-Remote-User", "root", "X-Remote-Group", "system:masters", "X-Remote-Extra-Scopes", "all"}
		if got := caller.mustSend(t, "GET", "/api/v1/namespaces/kube-system/secrets", "", header...); got.code != http.StatusForbidden || !strings.Contains(got.body, `User \"`+name+`\"`) {
			t.Errorf("%s: %v", name, got)
		}
		if got := caller.mustSend(t, "GET", "/api/v1/namespaces/kube-system/secrets", "", "Impersonate-User", "root", "Impersonate-Group", "system:masters"); got.code != http.StatusForbidden {
			t.Errorf("%s impersonates: %v", name, got)
		}
	}
}
