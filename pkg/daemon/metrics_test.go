package daemon

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/version"
)

// A daemon that runs tells its version, its feature gates and its requests to the apiserver.
func TestMetricsOfEveryDaemon(t *testing.T) {
	api := httptest.NewServer(http.NotFoundHandler())
	defer api.Close()
	features := NewFeatures("Tested")
	cmd := Command(Daemon{
		Name: "tested", Flags: &cliflag.NamedFlagSets{}, FeatureGates: features.Gate, Complete: features.Complete,
		Run: func(context.Context) error {
			client, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: api.URL})
			if err == nil {
				_, _ = client.ServerVersion() // the answer does not matter
			}
			return err
		},
	})
	cmd.SetArgs([]string{})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	for name, label := range map[string]string{
		"kubernetes_build_info":                version.Get().GitVersion,
		"kubernetes_feature_enabled":           "Tested",
		"rest_client_requests_total":           "404",
		"rest_client_request_duration_seconds": "GET",
	} {
		if !shown(t, name, label) {
			t.Errorf("no metric %s with a label of value %q", name, label)
		}
	}
}

func shown(t *testing.T, name, label string) bool {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, l := range metric.GetLabel() {
				if l.GetValue() == label {
					return true
				}
			}
		}
	}
	return false
}
