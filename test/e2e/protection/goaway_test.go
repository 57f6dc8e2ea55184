package protection

import (
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// connections counts how many connections requests of one client take.
func connections(t *testing.T, config *rest.Config, requests int) (made int) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	must(t, err)
	for range requests {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				made++
			}
		}}), http.MethodGet, config.Host+"/api/v1/namespaces/default", nil)
		must(t, err)
		resp, err := client.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Fatalf("%s by %s", resp.Status, resp.Proto)
		}
	}
	return made
}

// With --goaway-chance, HTTP/2 clients are sent to a new connection, and so to another server behind a load balancer,
// without losing a request.
func TestGoAwayChance(t *testing.T) {
	t.Parallel()
	s := serve(t, "--goaway-chance=0.02")
	const requests = 600 // none of which is sent away once in 180,000 runs
	if made := connections(t, s.as(t, "system:apiserver", "system:masters"), requests); made < 2 || made > requests/4 {
		t.Errorf("%d requests took %d connections", requests, made)
	}
	tooOften := start(t, "--goaway-chance=0.5")
	<-tooOften.Ended()
	if log := string(tooOften.LastLines(3)); !strings.Contains(log, "goaway-chance") {
		t.Error(log)
	}
}
