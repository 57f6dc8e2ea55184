package server

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-apiserver/resources"
)

// Clients find every declared resource that is generally available, in one document and by group.
func TestDiscovery(t *testing.T) {
	s := serve(t)
	_, lists, err := s.client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]metav1.APIResource{}
	for _, l := range lists {
		for _, r := range l.APIResources {
			found[l.GroupVersion+" "+r.Name] = r
		}
	}
	for _, d := range resources.Table() {
		for _, v := range d.ServedVersions() {
			gv := v
			if g := d.GroupResource().Group; g != "" {
				gv = g + "/" + v
			}
			r, ok := found[gv+" "+d.GroupResource().Resource]
			if strings.ContainsAny(v, "ab") {
				if ok {
					t.Errorf("%s %s is served though nobody asked for it", gv, r.Name)
				}
				continue
			}
			if !ok {
				t.Errorf("%s %s is not served", gv, d.GroupResource().Resource)
				continue
			}
			if r.SingularName != d.Sample().Singular {
				t.Errorf("%s %s: singular %q", gv, r.Name, r.SingularName)
			}
		}
	}
	for _, name := range []string{
		"v1 pods/binding", "v1 pods/eviction", "v1 pods/ephemeralcontainers", "v1 pods/resize", "v1 pods/log", "v1 pods/exec", "v1 pods/attach",
		"v1 pods/portforward", "v1 pods/proxy", "v1 pods/status", "v1 bindings", "v1 nodes/proxy", "v1 services/proxy", "v1 serviceaccounts/token",
		"v1 namespaces/finalize", "v1 componentstatuses", "v1 replicationcontrollers/scale", "apps/v1 deployments/scale", "apps/v1 replicasets/scale", "apps/v1 statefulsets/scale",
		"certificates.k8s.io/v1 certificatesigningrequests/approval", "authentication.k8s.io/v1 tokenreviews", "authentication.k8s.io/v1 selfsubjectreviews",
		"authorization.k8s.io/v1 subjectaccessreviews", "authorization.k8s.io/v1 selfsubjectrulesreviews", "events.k8s.io/v1 events",
		"apiextensions.k8s.io/v1 customresourcedefinitions", "apiregistration.k8s.io/v1 apiservices",
	} {
		if _, ok := found[name]; !ok {
			t.Errorf("%s is not served", name)
		}
	}
	if verbs := found["v1 namespaces"].Verbs; strings.Contains(strings.Join(verbs, " "), "deletecollection") {
		t.Errorf("all namespaces can be deleted at once: %v", verbs)
	}
}

// Both documents describe the API as clients know it, without a trace of how it is kept.
func TestOpenAPI(t *testing.T) {
	s := serve(t)
	for path, want := range map[string]string{
		"/openapi/v2": `"io.k8s.api.core.v1.Pod"`, "/openapi/v3/api/v1": `"io.k8s.api.core.v1.Pod"`, "/openapi/v3/apis/apps/v1": `"io.k8s.api.apps.v1.Deployment"`,
	} {
		body, err := s.client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(t.Context())
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if operation := `"operationId":"list`; !contains(body, operation) {
			t.Errorf("%s: no %s: clients generated from it would lose their names", path, operation)
		}
		if !json.Valid(body) || !contains(body, want) || contains(body, "__internal") {
			t.Errorf("%s: %d bytes, valid %v, has %s %v, shows __internal %v", path, len(body), json.Valid(body), want, contains(body, want), contains(body, "__internal"))
		}
	}
}

// Who uses a deprecated kind is told what to use instead; nobody else is told anything.
func TestDeprecationWarnings(t *testing.T) {
	s := serve(t)
	for path, want := range map[string]string{
		"/api/v1/componentstatuses":                       "v1 ComponentStatus is deprecated in v1.19+",
		"/api/v1/endpoints":                               "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
		"/api/v1/namespaces/default/endpoints/kubernetes": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
		"/api/v1/pods":                                    "",
		"/apis/discovery.k8s.io/v1/endpointslices":        "",
	} {
		var got []string
		for _, w := range s.client.Discovery().RESTClient().Get().AbsPath(path).Do(t.Context()).Warnings() {
			got = append(got, w.Text)
		}
		if strings.Join(got, "; and ") != want {
			t.Errorf("%s: warnings %q, want %q", path, got, want)
		}
	}
}

// A watch can begin with what is there, and says when that was all.
func TestWatchList(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	api := s.client.CoreV1().ConfigMaps(ns)
	if _, err := api.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := api.Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	var seen []string
	for event := range w.ResultChan() {
		if event.Type == watch.Bookmark {
			if event.Object.(*corev1.ConfigMap).Annotations[metav1.InitialEventsAnnotationKey] != "true" {
				t.Error("the bookmark does not say that all was sent")
			}
			break
		}
		seen = append(seen, event.Object.(*corev1.ConfigMap).Name)
	}
	if strings.Join(seen, " ") != "a" {
		t.Errorf("first events: %v", seen)
	}
}

// A token that was issued for a service account is known as that account's.
func TestServiceAccountToken(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	if _, err := s.client.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "sa"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := s.client.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), "sa", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := "system:serviceaccount:" + ns + ":sa"
	eventually(t, "the token", func(ctx context.Context) error {
		review, err := s.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token}}, metav1.CreateOptions{})
		if err == nil && review.Status.User.Username != want {
			t.Errorf("reviewed: %+v", review.Status)
		}
		return err
	})
	review, err := s.client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "nonsense"}}, metav1.CreateOptions{})
	if err != nil || review.Status.Authenticated {
		t.Errorf("nonsense: %+v %v", review.Status, err)
	}
	_, err = s.client.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), "nobody", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err == nil {
		t.Error("a token for nobody")
	}
}
