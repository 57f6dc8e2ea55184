package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"pilotis.dev/pkg/daemon/daemontest"
)

const head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"

// complete runs what kube-proxy does with its command line; content, if not empty, is the file of --config.
func complete(t testing.TB, content string, args ...string) (*Options, error) {
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
	return o, o.Complete()
}

func TestFlagsOverrideTheFile(t *testing.T) {
	o, err := complete(t, head+"clusterCIDR: 10.1.0.0/16\nhealthzBindAddress: 127.0.0.1:7\nconntrack: {min: 5, maxPerCore: 6}\nnodePortAddresses: [10.0.0.0/8]\nhostnameOverride: Node-A\n",
		"--cluster-cidr=10.2.0.0/16", "--conntrack-min=9", "--nodeport-addresses=192.0.2.0/24,primary")
	if err != nil {
		t.Fatal(err)
	}
	c := o.Config
	if c.ClusterCIDR != "10.2.0.0/16" || *c.Conntrack.Min != 9 || strings.Join(c.NodePortAddresses, " ") != "192.0.2.0/24 primary" {
		t.Errorf("flags lost: %s, %d, %v", c.ClusterCIDR, *c.Conntrack.Min, c.NodePortAddresses)
	}
	if c.HealthzBindAddress != "127.0.0.1:7" || *c.Conntrack.MaxPerCore != 6 || c.HostnameOverride != "node-a" {
		t.Errorf("the file lost: %s, %d, %s", c.HealthzBindAddress, *c.Conntrack.MaxPerCore, c.HostnameOverride)
	}
}

// TestEmptyMeansDefault: kubeadm writes fields as "" or 0s that nobody set.
func TestEmptyMeansDefault(t *testing.T) {
	o, err := complete(t, head+"mode: \"\"\nbindAddress: \"\"\nconfigSyncPeriod: 0s\nnftables: {syncPeriod: 0s, minSyncPeriod: 0s, masqueradeBit: null}\nclientConnection: {qps: 0, burst: 0, contentType: \"\"}\nconntrack: {min: null}\n")
	if err != nil {
		t.Fatal(err)
	}
	want := NewOptions().Config
	want.HostnameOverride = o.Config.HostnameOverride
	if got := o.Config; got.Mode != want.Mode || got.BindAddress != want.BindAddress || got.NFTables.SyncPeriod != want.NFTables.SyncPeriod || *got.NFTables.MasqueradeBit != 14 ||
		got.ClientConnection.QPS != want.ClientConnection.QPS || *got.Conntrack.Min != *want.Conntrack.Min || got.ConfigSyncPeriod != want.ConfigSyncPeriod {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestFlags holds the list of https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/ without Windows', and
// the two periods of mode nftables, but for those that package daemon adds to every daemon (logging, --version, --help).
func TestFlags(t *testing.T) {
	daemontest.CheckFlags(t, NewOptions().Flags(), `bind-address bind-address-hard-fail cleanup cluster-cidr config config-sync-period conntrack-max-per-core conntrack-min
		conntrack-tcp-be-liberal conntrack-tcp-timeout-close-wait conntrack-tcp-timeout-established conntrack-udp-timeout
		conntrack-udp-timeout-stream detect-local-mode feature-gates healthz-bind-address hostname-override init-only
		iptables-localhost-nodeports iptables-masquerade-bit iptables-min-sync-period iptables-sync-period ipvs-exclude-cidrs
		ipvs-min-sync-period ipvs-scheduler ipvs-strict-arp ipvs-sync-period ipvs-tcp-timeout ipvs-tcpfin-timeout ipvs-udp-timeout
		kube-api-burst kube-api-content-type kube-api-qps kubeconfig masquerade-all master metrics-bind-address nftables-min-sync-period
		nftables-sync-period nodeport-addresses oom-score-adj pod-bridge-interface pod-interface-name-prefix profiling proxy-mode
		show-hidden-metrics-for-version write-config-to`)
}

func TestPodInterface(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}\n", "cni0"},
		{"detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}\n", "veth*"},
		{"detectLocalMode: NodeCIDR\ndetectLocal: {bridgeInterface: cni0}\n", ""},
	} {
		o, err := complete(t, head+tt.file)
		if err != nil || o.PodInterface() != tt.want {
			t.Errorf("%s: got %q, %v", tt.file, o.PodInterface(), err)
		}
	}
}

func TestWriteConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "written.yaml")
	if _, err := complete(t, head+"featureGates: {NFTablesProxyMode: true}\n", "--write-config-to="+path, "--oom-score-adj=-5"); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := complete(t, string(written)); err != nil || *o.Config.OOMScoreAdj != -5 || !o.Config.FeatureGates["NFTablesProxyMode"] {
		t.Errorf("the file written says otherwise: %v\n%s", err, written)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		want          []string
	}{
		{"unknown field", head + "modus: nftables\n", []string{`unknown field "modus"`}},
		{"another kind", "apiVersion: v1\nkind: Pod\n", []string{`expected kind KubeProxyConfiguration`}},
		{"nothing said", "mode: nftables\n", []string{`expected kind KubeProxyConfiguration of apiVersion kubeproxy.config.k8s.io/v1alpha1`}},
		{"all at once", head + "mode: ipvs\nbindAddress: x\nhealthzBindAddress: \"1\"\nclusterCIDR: y\nnodePortAddresses: [z]\ndetectLocalMode: Guess\nnftables: {masqueradeBit: 32, syncPeriod: 1s, minSyncPeriod: 2s}\nconntrack: {min: -1}\noomScoreAdj: 1001\nwinkernel: {networkName: n}\nwindowsRunAsService: true\n",
			[]string{"oomScoreAdj: Invalid", "winkernel: Forbidden", "windowsRunAsService: Forbidden", "mode: Unsupported", "bindAddress: Invalid", "healthzBindAddress: Invalid", "clusterCIDR: Invalid", "nodePortAddresses[0]: Invalid", "detectLocalMode: Unsupported", "nftables.masqueradeBit: Invalid", "nftables.minSyncPeriod: Invalid", "conntrack.min: Invalid"}},
		{"a bridge without a name", head + "detectLocalMode: BridgeInterface\n", []string{"detectLocal.bridgeInterface: Required"}},
		{"a bridge that is no name", head + "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: 'a\" drop'}\n", []string{"detectLocal.bridgeInterface: Invalid"}},
		{"loopback", head + "nodePortAddresses: [localhost]\n", []string{"nodePortAddresses[0]: Forbidden"}},
		{"unknown gate", head + "featureGates: {Foo: true}\n", []string{"featureGates: unrecognized feature gate: Foo"}},
	} {
		_, err := complete(t, tt.content)
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is missing in: %v", tt.name, w, err)
			}
		}
	}
}

// FuzzDecode: whatever the file holds, it is refused or leaves a configuration that has every pointer the daemon follows.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{head, head + "mode: nftables\nconntrack: {}\n", head + "conntrack: null\nnftables: null\n", "{}", "[", "kind: KubeProxyConfiguration\x00", head + "nodePortAddresses: [primary]\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := NewOptions()
		o.Flags()
		if o.decode(data) != nil {
			return
		}
		c := o.Config
		if c.NFTables.MasqueradeBit == nil || c.Conntrack.Min == nil || c.Conntrack.MaxPerCore == nil || c.Conntrack.TCPEstablishedTimeout == nil || c.Mode == "" {
			t.Errorf("%q leaves %+v", data, c)
		}
		_ = validate(&c) // must not panic
	})
}
