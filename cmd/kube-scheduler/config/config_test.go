package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/pkg/daemon/daemontest"
)

const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

// complete runs what kube-scheduler does with its command line; content, if not empty, is the file of --config.
func complete(t *testing.T, content string, args ...string) (*Options, error) {
	t.Helper()
	o := NewOptions()
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, fs := range o.Flags().FlagSets {
		all.AddFlagSet(fs)
	}
	if content != "" {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config="+path)
	}
	if err := all.Parse(args); err != nil {
		return nil, err
	}
	if err := o.Complete(); err != nil {
		return nil, err
	}
	for _, p := range o.Config.Profiles {
		if _, err := o.Profile(p, Inputs{}); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// TestFlags holds the list of https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/ but for those that
// package daemon adds to every daemon (logging, --version, --help).
func TestFlags(t *testing.T) {
	daemontest.CheckFlags(t, NewOptions().Flags(), `allow-metric-labels allow-metric-labels-manifest authentication-kubeconfig authentication-skip-lookup
		authentication-token-webhook-cache-ttl authentication-tolerate-lookup-failure authorization-always-allow-paths authorization-kubeconfig
		authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl bind-address cert-dir client-ca-file config
		contention-profiling disable-http2-serving disabled-metrics emulated-version feature-gates http2-max-streams-per-connection
		kube-api-burst kube-api-content-type kube-api-qps kubeconfig leader-elect leader-elect-lease-duration leader-elect-renew-deadline
		leader-elect-resource-lock leader-elect-resource-name leader-elect-resource-namespace leader-elect-retry-period master
		min-compatibility-version permit-address-sharing permit-port-sharing pod-max-in-unschedulable-pods-duration profiling
		requestheader-allowed-names requestheader-client-ca-file requestheader-extra-headers-prefix requestheader-group-headers
		requestheader-uid-headers requestheader-username-headers secure-port show-hidden-metrics-for-version tls-cert-file tls-cipher-suites
		tls-curve-preferences tls-min-version tls-private-key-file tls-sni-cert-key write-config-to`)
}

func TestFileAndFlags(t *testing.T) {
	o, err := complete(t, head+`enableProfiling: false
enableContentionProfiling: true
delayCacheUntilActive: true
clientConnection: {acceptContentTypes: application/json, qps: 7}
leaderElection: {leaderElect: false}
profiles:
- schedulerName: default-scheduler
  plugins:
    multiPoint: {disabled: [{name: "*"}], enabled: [{name: PrioritySort}, {name: NodeName}, {name: DefaultBinder}]}
- schedulerName: patient
  pluginConfig:
  - {name: VolumeBinding, args: {apiVersion: kubescheduler.config.k8s.io/v1, kind: VolumeBindingArgs, bindTimeoutSeconds: 30}}
`, "--kube-api-qps=9", "--feature-gates=SidecarContainers=true", "--emulated-version=1.36")
	if err != nil {
		t.Fatal(err)
	}
	if o.Serving.Profiling || !o.ContentionProfiling || o.Election.LeaderElect || o.Client.QPS != 9 || o.Client.AcceptContentTypes != "application/json" {
		t.Errorf("got profiling %v, contention %v, leader election %v, client %+v", o.Serving.Profiling, o.ContentionProfiling, o.Election.LeaderElect, o.Client)
	}
	if v := o.Features.Version().EmulationVersion().String(); v != "1.36" {
		t.Errorf("emulates %s", v)
	}
	lone, err := o.Profile(o.Config.Profiles[0], Inputs{})
	if err != nil || len(lone.Filters) != 1 || len(lone.Scorers) != 0 || lone.Preemption {
		t.Errorf("a profile of one plugin has %d filters, %d scores, preemption %v (%v)", len(lone.Filters), len(lone.Scorers), lone.Preemption, err)
	}
	patient, err := o.Profile(o.Config.Profiles[1], Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range patient.Filters {
		if v, ok := f.(plugins.VolumeBinding); ok && v.BindTimeout != 30*time.Second {
			t.Errorf("volumes are waited for %s", v.BindTimeout)
		}
	}
}

func TestFaults(t *testing.T) {
	profile := func(s string) string { return head + "profiles:\n- schedulerName: a\n  " + s + "\n" }
	for _, tt := range []struct{ name, content, flag, want string }{
		{"unknown field", head + "parallelity: 3\n", "", `unknown field "parallelity"`},
		{"extender", head + "extenders: [{urlPrefix: http://127.0.0.1:1}]\n", "", "extenders: Forbidden"},
		{"all at once", head + "parallelism: 0\npercentageOfNodesToScore: 101\n", "", "percentageOfNodesToScore: Invalid value: 101"},
		{"share of a profile", profile("percentageOfNodesToScore: -1"), "", "profiles[0].percentageOfNodesToScore: Invalid value: -1"},
		{"no binder", profile("plugins: {bind: {disabled: [{name: DefaultBinder}]}}"), "", "profiles[0].plugins.bind.disabled[0]: Forbidden: DefaultBinder"},
		{"no binder anywhere", profile("plugins: {multiPoint: {disabled: [{name: \"*\"}]}}"), "", "profiles[0].plugins.multiPoint.disabled[0]: Forbidden"},
		{"half a plugin", profile("plugins: {preScore: {disabled: [{name: NodeAffinity}]}}"), "", "profiles[0].plugins.preScore.disabled[0]: Forbidden: NodeAffinity"},
		{"unknown plugin", profile("plugins: {filter: {enabled: [{name: Foo}]}}"), "", `plugin "Foo" does not exist`},
		{"arguments of nobody", profile("pluginConfig: [{name: NodeName, args: {}}]"), "", `pluginConfig: Unsupported value: "NodeName"`},
		{"unknown argument", profile("pluginConfig: [{name: VolumeBinding, args: {timeout: 1}}]"), "", `unknown field "timeout"`},
		{"alpha argument", profile("pluginConfig: [{name: VolumeBinding, args: {shape: [{utilization: 0, score: 0}]}}]"), "", "StorageCapacityScoring"},
		{"preemption", profile("pluginConfig: [{name: DefaultPreemption, args: {minCandidateNodesPercentage: 101}}]"), "", "minCandidateNodesPercentage: Invalid value: 101"},
		{"no shape", profile("pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: RequestedToCapacityRatio}}}]"), "", "requestedToCapacityRatio: Required value"},
		{"weight", profile("pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 101}]}}}]"), "", "scoringStrategy.resources[0].weight: Invalid value: 101"},
		{"unknown gate", "", "--feature-gates=Foo=true", "unrecognized feature gate: Foo"},
		{"locked gate", "", "--feature-gates=SidecarContainers=false", "cannot set feature gate SidecarContainers to false"},
		{"version of the future", "", "--emulated-version=1.99", "1.99"},
		{"metrics of old", "", "--show-hidden-metrics-for-version=1.2", "showHiddenMetricsForVersion"},
	} {
		var flags []string
		if tt.flag != "" {
			flags = append(flags, tt.flag)
		}
		if _, err := complete(t, tt.content, flags...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
