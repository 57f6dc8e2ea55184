package noredirect_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"pilotis.dev/cmd/kube-apiserver/auth/noredirect"
)

func TestRedirectsAreRefused(t *testing.T) {
	var internal atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { internal.Add(1) }))
	defer target.Close()
	status := http.StatusOK
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status == http.StatusOK {
			return
		}
		http.Redirect(w, r, target.URL, status)
	}))
	defer hook.Close()
	client := &http.Client{Transport: noredirect.Transport(http.DefaultTransport)}
	resp, err := client.Get(hook.URL)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Fatal(resp)
	}
	for _, status = range []int{301, 302, 303, 307, 308} {
		resp, err := client.Post(hook.URL, "text/plain", strings.NewReader("x"))
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "redirects of webhooks are not followed") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if internal.Load() != 0 {
		t.Errorf("the target was reached %d times", internal.Load())
	}
}
