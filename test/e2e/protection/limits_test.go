package protection

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Requests end in time, and bodies have a limit.
func TestRequestLimits(t *testing.T) {
	t.Parallel()
	s := serve(t, "--request-timeout=2s")
	slowHook(t, s, make(chan struct{}))
	began := time.Now()
	got, err := trySend(t, s.admin, "POST", configMaps+"?dryRun=All", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"slow-","labels":{"slow":"yes"}}}`)
	// A timeout in the middle of an answer breaks its stream off.
	ended := err != nil || got.code == http.StatusGatewayTimeout || got.code == http.StatusInternalServerError
	if took := time.Since(began); !ended || took > 20*time.Second {
		t.Errorf("beyond --request-timeout: %v, %v after %v", got, err, took)
	}
	large := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large"},"data":{"a":%q}}`, strings.Repeat("x", 4<<20))
	if got := send(t, s.admin, "POST", configMaps, large); got.code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 4 MiB: %v", got)
	}
}
