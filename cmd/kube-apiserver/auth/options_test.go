package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func keyFile(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
}

func authentication(t *testing.T, args ...string) *AuthenticationOptions {
	t.Helper()
	o := NewAuthenticationOptions()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(fs)
	if err := fs.Parse(append([]string{"--service-account-issuer=https://issuer", "--service-account-signing-key-file=" + keyFile(t)}, args...)); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWrongAuthenticationFlags(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"--service-account-issuer=https://issuer"}, `service-account-issuer "https://issuer" is already specified`},
		{[]string{"--service-account-signing-key-file="}, "service-account-signing-key-file is a required flag"},
		{[]string{"--service-account-max-token-expiration=1m"}, "must be between 1 hour and 2^32 seconds"},
		{[]string{"--service-account-jwks-uri=http://x"}, "requires https scheme"},
		{[]string{"--oidc-issuer-url=https://x"}, "oidc-issuer-url and oidc-client-id must be specified together"},
		{[]string{"--authentication-config=f", "--oidc-client-id=x"}, "authentication-config file and --oidc-client-id are mutually exclusive"},
		{[]string{"--authentication-token-webhook-config-file=f", "--authentication-token-webhook-version=v2"}, "is not one of v1, v1beta1"},
		{[]string{"--requestheader-username-headers= "}, `empty value in "requestheader-username-headers"`},
	} {
		err := errors.Join(authentication(t, tc.args...).Validate()...)
		if (tc.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%v: got %v, want %q", tc.args, err, tc.want)
		}
	}
}

// request is what a client with a bearer token sends.
func request(path, token string) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, "https://host"+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func build(t *testing.T, o *AuthenticationOptions) (*Authentication, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	client := fake.NewClientset(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "robot", UID: "1"}})
	return o.Build(ctx, AuthenticationInputs{Informers: informers.NewSharedInformerFactory(client, 0), Client: client, ExternalAddress: "host:6443"})
}

func TestChain(t *testing.T) {
	tokens := write(t, "tokens.csv", "secret,carol,7,\"a,b\"\n")
	config := write(t, "auth.yaml", `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous: {enabled: true, conditions: [{path: /healthz}]}
`)
	for _, tc := range []struct {
		name        string
		args        []string
		path, token string
		user        string // empty: nobody
		refused     bool
	}{
		{"anonymous", nil, "/", "", "system:anonymous", false},
		{"no anonymous", []string{"--anonymous-auth=false"}, "/", "", "", false},
		{"token file", []string{"--token-auth-file=" + tokens}, "/", "secret", "carol", false},
		{"wrong token is not anonymous", []string{"--token-auth-file=" + tokens}, "/", "wrong", "", true},
		{"anonymous on the paths of the file", []string{"--authentication-config=" + config}, "/healthz", "", "system:anonymous", false},
		{"anonymous elsewhere", []string{"--authentication-config=" + config}, "/api", "", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := build(t, authentication(t, tc.args...))
			if err != nil {
				t.Fatal(err)
			}
			resp, ok, err := a.Authenticator.AuthenticateRequest(request(tc.path, tc.token))
			if (err != nil) != tc.refused || ok != (tc.user != "") || (ok && resp.User.GetName() != tc.user) {
				t.Fatalf("got %v %v %v", resp, ok, err)
			}
		})
	}
}

func TestIssuerIsTheAudienceWhenNoneIsGiven(t *testing.T) {
	a, err := build(t, authentication(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.APIAudiences) != 1 || a.APIAudiences[0] != "https://issuer" || a.OpenID == nil || a.Tokens == nil {
		t.Fatalf("got %+v", a)
	}
}

func TestFilesThatCannotBeUsedAreNamed(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--client-ca-file=/missing"}, "--client-ca-file: open /missing"},
		{[]string{"--service-account-key-file=" + write(t, "bad.pem", "no key")}, "--service-account-key-file: reading service account keys"},
		{[]string{"--token-auth-file=/missing"}, "--token-auth-file"},
		{[]string{"--authentication-config=" + write(t, "a.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwtt: []\n")}, `unknown field "jwtt"`},
		{[]string{"--authentication-config=" + write(t, "b.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{issuer: {url: 'http://x', audiences: [a]}, claimMappings: {username: {claim: sub, prefix: ''}}}]\n")}, "URL scheme must be https"},
		{[]string{"--authentication-config=" + write(t, "c.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: true}\n"), "--anonymous-auth=true"}, "--anonymous-auth must not be set"},
	} {
		if _, err := build(t, authentication(t, tc.args...)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: got %v, want %q", tc.args, err, tc.want)
		}
	}
}

func authorization(t *testing.T, args ...string) *AuthorizationOptions {
	t.Helper()
	o := NewAuthorizationOptions()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWrongAuthorizationFlags(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"--authorization-mode=Node,RBAC"}, ""},
		{[]string{"--authorization-mode=Rbac"}, `authorization-mode "Rbac" is not a valid mode, use one of AlwaysAllow,AlwaysDeny,ABAC,Webhook,RBAC,Node`},
		{[]string{"--authorization-mode=RBAC,RBAC"}, "has mode specified more than once"},
		{[]string{"--authorization-mode=ABAC"}, "authorization-mode ABAC's authorization-policy-file not passed"},
		{[]string{"--authorization-policy-file=f"}, "cannot specify --authorization-policy-file without mode ABAC"},
		{[]string{"--authorization-mode=Webhook"}, "authorization-mode Webhook's authorization-webhook-config-file not passed"},
		{[]string{"--authorization-config=f", "--authorization-mode=RBAC"}, "--authorization-config can not be specified when --authorization-mode is specified"},
	} {
		err := errors.Join(authorization(t, tc.args...).Validate()...)
		if (tc.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%v: got %v, want %q", tc.args, err, tc.want)
		}
	}
}

func may(t *testing.T, z authorizer.Authorizer, name string, groups ...string) authorizer.Decision {
	t.Helper()
	d, _, err := z.Authorize(t.Context(), authorizer.AttributesRecord{User: &user.DefaultInfo{Name: name, Groups: groups}, Verb: "get", Resource: "pods", ResourceRequest: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestModes(t *testing.T) {
	for _, tc := range []struct {
		mode       string
		somebody   authorizer.Decision
		privileged authorizer.Decision
	}{
		{"", authorizer.DecisionAllow, authorizer.DecisionAllow},
		{"AlwaysDeny", authorizer.DecisionNoOpinion, authorizer.DecisionAllow},
		{"Node,RBAC", authorizer.DecisionNoOpinion, authorizer.DecisionAllow},
	} {
		var args []string
		if tc.mode != "" {
			args = []string{"--authorization-mode=" + tc.mode}
		}
		z, err := authorization(t, args...).Build(AuthorizationInputs{Informers: informers.NewSharedInformerFactory(fake.NewClientset(), 0)})
		if err != nil {
			t.Fatal(err)
		}
		if got := may(t, z.Authorizer, "ann"); got != tc.somebody {
			t.Errorf("%q: somebody gets %s", tc.mode, got)
		}
		if got := may(t, z.Authorizer, "root", "system:masters"); got != tc.privileged {
			t.Errorf("%q: system:masters get %s", tc.mode, got)
		}
	}
}

func TestAuthorizationFileIsReread(t *testing.T) {
	kubeconfig := write(t, "hook.conf", `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
users: [{name: u, user: {}}]
`)
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n"
	const always = "- {type: AlwaysAllow, name: all}\n"
	// a webhook that cannot be reached denies; before it, everything was allowed
	hook := `- type: Webhook
  name: hook
  webhook:
    timeout: 1s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    matchConditions: [{expression: "request.user == 'eve'"}]
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: ` + kubeconfig + "}\n"
	file := write(t, "authz.yaml", head+always)
	z, err := authorization(t, "--authorization-config="+file).Build(AuthorizationInputs{Informers: informers.NewSharedInformerFactory(fake.NewClientset(), 0), APIServerID: "test"})
	if err != nil {
		t.Fatal(err)
	}
	r := z.Authorizer.(*reloading)
	if got := may(t, z.Authorizer, "ann"); got != authorizer.DecisionAllow {
		t.Fatalf("at start: %s", got)
	}
	r.reload(t.Context(), []byte("nonsense"))
	if got := may(t, z.Authorizer, "ann"); got != authorizer.DecisionAllow {
		t.Errorf("after a wrong file: %s", got)
	}
	r.reload(t.Context(), []byte(head+"- {type: RBAC, name: rbac}\n"))
	if got := may(t, z.Authorizer, "ann"); got != authorizer.DecisionAllow {
		t.Errorf("after a change that needs a restart: %s", got)
	}
	r.builder.options.Webhook.RetryBackoff.Duration = time.Millisecond
	r.reload(t.Context(), []byte(head+hook+always))
	if got := may(t, z.Authorizer, "ann"); got != authorizer.DecisionAllow {
		t.Errorf("a user that the webhook is not asked about: %s", got)
	}
	if d, _, _ := z.Authorizer.Authorize(t.Context(), authorizer.AttributesRecord{User: &user.DefaultInfo{Name: "eve"}, Verb: "get", Resource: "pods", ResourceRequest: true}); d != authorizer.DecisionDeny {
		t.Errorf("a user that the dead webhook is asked about: %s", d)
	}
}

func TestWatchFileSeesReplacement(t *testing.T) {
	file := write(t, "f", "one")
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		watchFile(ctx, file, []byte("one"), func(data []byte) bool { seen <- string(data); return true })
	}()
	// Replaced until noticed: the watch may begin after the first one.
	next := filepath.Join(filepath.Dir(file), "next")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case got := <-seen:
			if got != "two" {
				t.Errorf("saw %q", got)
			}
			cancel()
			<-done
			return
		case <-deadline:
			t.Fatal("the change was not seen")
		case <-tick.C:
			if err := os.WriteFile(next, []byte("two"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, file); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTrimmedPodStillTellsWhatItRefersTo(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"x": "y", corev1.MirrorPodAnnotationKey: "m"}},
		Spec: corev1.PodSpec{NodeName: "n", ServiceAccountName: "sa", Containers: []corev1.Container{
			{Name: "plain", Image: "i", Env: []corev1.EnvVar{{Name: "A", Value: "B"}}},
			{Name: "refs", Env: []corev1.EnvVar{{Name: "S", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}}, {Name: "A", Value: "B"}}},
		}, EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debug", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{}}},
		}}}},
		Status: corev1.PodStatus{Message: "long", ContainerStatuses: []corev1.ContainerStatus{{Name: "plain"}}},
	}
	out, err := new(podTrimmer).trim(pod)
	if err != nil {
		t.Fatal(err)
	}
	got := out.(*corev1.Pod)
	if got.Labels != nil || len(got.Annotations) != 1 || got.Status.Message != "" || len(got.Spec.Containers) != 1 || len(got.Spec.Containers[0].Env) != 1 {
		t.Errorf("too much or too little is kept: %+v", got)
	}
	if debug := got.Spec.EphemeralContainers; len(debug) != 1 || debug[0].Name != "" || len(debug[0].EnvFrom) != 1 {
		t.Errorf("ephemeral containers: %+v", debug)
	}
	if got.UID != "u" || got.Spec.NodeName != "n" || got.Spec.ServiceAccountName != "sa" {
		t.Errorf("identity is lost: %+v", got)
	}
}

// TestTrimmedPodsShareTheirVolumes: the volume of the token is the same for all pods but for its name.
func TestTrimmedPodsShareTheirVolumes(t *testing.T) {
	trimmer := new(podTrimmer)
	trimmed := func(audience string) []corev1.Volume {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{
			{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "token-" + rand.Text(), VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}},
			}}}},
		}}}
		out, err := trimmer.trim(pod)
		if err != nil {
			t.Fatal(err)
		}
		return out.(*corev1.Pod).Spec.Volumes
	}
	first, second, other := trimmed("a"), trimmed("a"), trimmed("b")
	if len(first) != 1 || &first[0] != &second[0] {
		t.Errorf("two pods hold %+v and %+v, expected one list of the token's volume", first, second)
	}
	if other[0].Projected.Sources[0].ServiceAccountToken.Audience != "b" {
		t.Errorf("a pod lost its audience: %+v", other)
	}
	claim := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}}}
	if out, err := trimmer.trim(claim); err != nil || out.(*corev1.Pod).Spec.Volumes[0].Name != "data" {
		t.Errorf("the claim of an ephemeral volume cannot be named any more: %+v, %v", out, err)
	}
}

func BenchmarkTrimPod(b *testing.B) {
	trimmer := new(podTrimmer)
	pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}, {ConfigMap: &corev1.ConfigMapProjection{}}, {DownwardAPI: &corev1.DownwardAPIProjection{}},
	}}}}}}}
	b.ReportAllocs()
	for b.Loop() {
		given := *pod
		if _, err := trimmer.trim(&given); err != nil {
			b.Fatal(err)
		}
	}
}
