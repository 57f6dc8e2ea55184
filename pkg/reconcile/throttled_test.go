package reconcile_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"pilotis.dev/pkg/reconcile"
)

// busyServer has room for some requests at a time, and sends others away for a while, as priority and fairness does.
type busyServer struct {
	mu                         sync.Mutex
	room, busy, refused, early int
	away                       map[string]time.Time // until when whom it has sent away should stay away
}

const retryAfter = 3 * time.Second

func (s *busyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if time.Now().Before(s.away[string(body)]) {
		s.early++
	}
	if s.busy >= s.room {
		s.refused++
		s.away[string(body)] = time.Now().Add(retryAfter)
		s.mu.Unlock()
		return respond(r, http.StatusTooManyRequests, http.Header{"Retry-After": {"3"}}, []byte("busy")), nil
	}
	s.busy++
	s.mu.Unlock()
	time.Sleep(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	return respond(r, http.StatusCreated, http.Header{"Content-Type": {r.Header.Get("Content-Type")}}, body), nil
}

func respond(r *http.Request, code int, header http.Header, body []byte) *http.Response {
	return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Request: r}
}

// TestWritesWaitForABusyServer: a client that does not throttle itself comes back when it was told to, and what was sent away counts as done
// when it is, not as a fault that ends the batch.
func TestWritesWaitForABusyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &busyServer{room: 20, away: map[string]time.Time{}}
		client, err := kubernetes.NewForConfig(&rest.Config{Host: "http://server", Transport: server, QPS: -1})
		if err != nil {
			t.Fatal(err)
		}
		const count = 100
		done, err := reconcile.SlowStart(t.Context(), count, func(ctx context.Context, i int) error {
			_, err := client.CoreV1().Pods("ns").Create(ctx, numbered(i, ""), metav1.CreateOptions{})
			return err
		})
		if err != nil || done != count {
			t.Errorf("%d of %d writes are done: %v", done, count, err)
		}
		if server.refused == 0 || server.early > 0 {
			t.Errorf("sent away %d times, came back too early %d times", server.refused, server.early)
		}
	})
}
