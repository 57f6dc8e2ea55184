package admission

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	"k8s.io/apiserver/pkg/admission"
)

// imagePolicyOf makes the plugin for a webhook.
func imagePolicyOf(t *testing.T, url string, defaultAllow bool) admission.Interface {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook.conf")
	content := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n", url)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("imagePolicy: {kubeConfigFile: %s, defaultAllow: %v, retryBackoff: 1}\n", file, defaultAllow)
	return made(t)(newImagePolicy(strings.NewReader(config)))
}

func TestImagePolicyWebhook(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var review imagepolicyv1alpha1.ImageReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		review.Status.Allowed = true
		for _, c := range review.Spec.Containers {
			if strings.Contains(c.Image, "bad") {
				review.Status = imagepolicyv1alpha1.ImageReviewStatus{Reason: c.Image + " has a known flaw"}
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	image := func(name string) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Spec.Containers[0].Image = name })
	}
	p := imagePolicyOf(t, server.URL, false)
	for range 3 {
		expect(t, send(t, p, req{resource: "pods", obj: image("good")}), "")
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("the webhook was asked %d times for one question", got)
	}
	expect(t, send(t, p, req{resource: "pods", obj: image("bad:1")}), "image policy webhook backend denied one or more images: bad:1 has a known flaw")
	debugged := pod(func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: "bad:2"}}}
	})
	expect(t, send(t, p, req{resource: "pods/ephemeralcontainers", op: admission.Update, obj: debugged, old: image("good")}), "bad:2 has a known flaw") // CVE-2023-2727

	server.Close()
	expect(t, send(t, p, req{resource: "pods", obj: image("new")}), "connection refused")
	expect(t, send(t, imagePolicyOf(t, server.URL, true), req{resource: "pods", obj: image("new")}), "")
}
