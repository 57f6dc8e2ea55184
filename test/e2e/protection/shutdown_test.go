package protection

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"pilotis.dev/test/e2e/daemons"
)

// fresh is a client of HTTP/1.1 with no connection yet.
func fresh(t *testing.T, config *rest.Config) *http.Client {
	t.Helper()
	c, err := rest.TLSConfigFor(config)
	must(t, err)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}
}

// At SIGTERM the server is not ready any more and serves on; then it takes no more requests, finishes those that run, lets go
// of watches, and ends.
func TestGracefulShutdown(t *testing.T) {
	t.Parallel()
	s := serve(t, "--shutdown-delay-duration=6s", "--shutdown-send-retry-after=true", "--shutdown-watch-termination-grace-period=10s")
	release := make(chan struct{})
	slowHook(t, s, release)
	running := make(chan error, 1)
	go func() { running <- slowCreate(context.Background(), t, s.admin) }()
	watch, err := s.client.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	must(t, err)
	defer watch.Stop()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for range watch.ResultChan() {
		}
	}()
	ask := func(path string) (code int, header http.Header, closed bool, err error) {
		client := fresh(t, s.admin)
		defer client.CloseIdleConnections()
		resp, err := client.Get(s.host() + path)
		if err != nil {
			return 0, nil, false, err
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header, resp.Close, nil
	}
	must(t, syscall.Kill(s.PID, syscall.SIGTERM))
	signalled := time.Now()
	daemons.Eventually(t, "readyz to fail", func() (string, bool) {
		code, _, _, err := ask("/readyz")
		return fmt.Sprint(code, err), code == 500
	})
	if took := time.Since(signalled); took > 5*time.Second {
		t.Errorf("readyz failed only after %v", took)
	}
	for _, path := range []string{"/livez", configMaps} {
		if code, _, _, err := ask(path); code != 200 {
			t.Errorf("%s within --shutdown-delay-duration: %d %v", path, code, err)
		}
	}
	daemons.Eventually(t, "new requests to be sent elsewhere", func() (string, bool) {
		code, header, closed, err := ask(configMaps)
		return fmt.Sprint(code, header, closed, err), code == http.StatusTooManyRequests && closed && header.Get("Retry-After") != ""
	})
	if took := time.Since(signalled); took < 6*time.Second {
		t.Errorf("requests were refused after %v, before --shutdown-delay-duration", took)
	}
	select {
	case err := <-running:
		t.Errorf("the request that ran was cut off: %v", err)
	default:
	}
	close(release)
	if err := <-running; err != nil { // the webhook's failure is ignored
		t.Errorf("the request that ran did not finish: %v", err)
	}
	select {
	case <-watched:
	case <-time.After(daemons.Patience):
		t.Error("the watch does not end")
	}
	daemons.Eventually(t, "the server to end", func() (string, bool) {
		err := syscall.Kill(s.PID, 0)
		return fmt.Sprint(err), err != nil
	})
}
