package protection

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"pilotis.dev/test/e2e/daemons"
)

// judge is an authorization webhook that allows verbs, denies others, and has no opinion on the rest.
type judge struct {
	mu    sync.Mutex
	asked []authorizationv1.SubjectAccessReviewSpec
}

func (j *judge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review authorizationv1.SubjectAccessReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	j.mu.Lock()
	j.asked = append(j.asked, review.Spec)
	j.mu.Unlock()
	if a := review.Spec.ResourceAttributes; a != nil {
		review.Status.Allowed = a.Verb == "list"
		review.Status.Denied = a.Verb == "delete"
		review.Status.Reason = "the judge says so"
	}
	_ = json.NewEncoder(w).Encode(review) // the server tells of an answer that breaks off
}

func (j *judge) askedOf(user string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.asked {
		if a.User == user {
			return true
		}
	}
	return false
}

const configMaps = "/api/v1/namespaces/default/configmaps"

// codes expects answers to a list of ConfigMaps and to a deletion.
func codes(t *testing.T, config *rest.Config, list, remove int) {
	t.Helper()
	if got := get(t, config, configMaps); got.code != list {
		t.Errorf("list: %v, want %d", got, list)
	}
	if got := send(t, config, "DELETE", configMaps+"/none", ""); got.code != remove {
		t.Errorf("delete: %v, want %d", got, remove)
	}
}

func TestAuthorizationWebhookAndABAC(t *testing.T) {
	t.Parallel()
	j := &judge{}
	abac := `{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"abe","namespace":"*","resource":"configmaps","apiGroup":"*"}}` + "\n"
	s := serve(t, "--authorization-mode=Webhook,ABAC,RBAC", "--authorization-webhook-config-file="+listen(t, j).kubeconfig(t, "/"), "--authorization-webhook-version=v1",
		"--authorization-policy-file="+temporary(t, "abac.jsonl", abac))
	codes(t, s.as(t, "webbed"), 200, 403)
	if got := send(t, s.as(t, "webbed"), "DELETE", configMaps+"/none", ""); !strings.Contains(got.body, "the judge says so") {
		t.Errorf("a denial without its reason: %v", got)
	}
	codes(t, s.as(t, "abe"), 200, 403) // what the webhook denies, nobody after it allows
	if got := get(t, s.as(t, "abe"), configMaps+"/none"); got.code != 404 {
		t.Errorf("by ABAC: %v", got)
	}
	if got := get(t, s.as(t, "bob"), configMaps+"/none"); got.code != 403 {
		t.Errorf("by nobody: %v", got)
	}
}

func TestAlwaysAllow(t *testing.T) {
	t.Parallel()
	s := serve(t, "--authorization-mode=AlwaysAllow")
	codes(t, s.as(t, "anyone"), 200, 404)
}

func TestAuthorizationConfiguration(t *testing.T) {
	t.Parallel()
	j := &judge{}
	hook := listen(t, j).kubeconfig(t, "/")
	config := func(condition, onFailure string) string {
		return fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: judge
  webhook:
    authorizedTTL: 1s
    unauthorizedTTL: 1s
    timeout: 3s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: %s
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}
    matchConditions: [{expression: %q}]
- {type: Node, name: node}
- {type: RBAC, name: rbac}
`, onFailure, hook, condition)
	}
	path := filepath.Join(t.TempDir(), "authorization.yaml")
	file(t, path, config("has(request.resourceAttributes) && request.user.startsWith('w-')", "Deny"))
	s := serve(t, "!--authorization-mode", "--authorization-config="+path)
	codes(t, s.as(t, "w-ann"), 200, 403)
	codes(t, s.as(t, "ann"), 403, 403)
	if j.askedOf("ann") || !j.askedOf("w-ann") {
		t.Error("the match condition does not choose who is asked about")
	}
	file(t, path, "kind: Nonsense") // changes nothing
	file(t, path, config("has(request.resourceAttributes) && request.user.startsWith('x-')", "Deny"))
	daemons.Eventually(t, "the new condition to count", func() (string, bool) {
		got := get(t, s.as(t, "w-ann"), configMaps)
		return got.String(), got.code == 403
	})
	codes(t, s.as(t, "x-ann"), 200, 403)
}

func TestAccessReviews(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, body := range []string{
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"r","namespace":"default"},"rules":[{"apiGroups":[""],"resources":["configmaps"],"verbs":["list"],"resourceNames":["one"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"r","namespace":"default"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"ann"}]}`,
	} {
		resource := "roles"
		if strings.Contains(body, `"RoleBinding"`) {
			resource = "rolebindings"
		}
		if got := send(t, s.admin, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/"+resource, body); got.code != 201 {
			t.Fatal(got)
		}
	}
	ann := clientOf(t, s.as(t, "ann")).AuthorizationV1()
	about := func(name string) *authorizationv1.ResourceAttributes {
		return &authorizationv1.ResourceAttributes{Namespace: "default", Verb: "list", Resource: "configmaps", Name: name}
	}
	for name, want := range map[string]bool{"one": true, "two": false} {
		daemons.Eventually(t, "SelfSubjectAccessReview of "+name, func() (string, bool) {
			got, err := ann.SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: about(name)}}, metav1.CreateOptions{})
			return fmt.Sprint(got, err), err == nil && got.Status.Allowed == want
		})
		got, err := s.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "ann", ResourceAttributes: about(name)}}, metav1.CreateOptions{})
		if err != nil || got.Status.Allowed != want {
			t.Errorf("SubjectAccessReview of %s: %v %v", name, got, err)
		}
		in, err := s.client.AuthorizationV1().LocalSubjectAccessReviews("default").Create(t.Context(), &authorizationv1.LocalSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default"}, Spec: authorizationv1.SubjectAccessReviewSpec{User: "ann", ResourceAttributes: about(name)},
		}, metav1.CreateOptions{})
		if err != nil || in.Status.Allowed != want {
			t.Errorf("LocalSubjectAccessReview of %s: %v %v", name, in, err)
		}
	}
	if _, err := ann.SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "bob", ResourceAttributes: about("one")}}, metav1.CreateOptions{}); err == nil {
		t.Error("anybody may ask about others")
	}
	rules, err := ann.SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}}, metav1.CreateOptions{})
	must(t, err)
	found := false
	for _, r := range rules.Status.ResourceRules {
		found = found || fmt.Sprint(r.Verbs, r.Resources, r.ResourceNames) == "[list] [configmaps] [one]"
	}
	if !found || rules.Status.Incomplete && rules.Status.EvaluationError == "" {
		t.Errorf("SelfSubjectRulesReview: %+v", rules.Status)
	}
}
