package server

import "testing"

// Dashboards tell servers apart by their version, and watch what they ask of each other.
func TestMetrics(t *testing.T) {
	s := serve(t)
	got, err := s.raw(t.Context(), "GET", "/metrics", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubernetes_build_info{", "rest_client_requests_total{", "rest_client_request_duration_seconds_count{"} {
		if !contains(got, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}
