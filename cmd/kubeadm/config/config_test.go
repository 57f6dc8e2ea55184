package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	proxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"
)

func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite golden files")
	flag.Parse()
	os.Exit(m.Run())
}

func machine() Machine {
	return Machine{
		Hostname:  "node-1",
		Address:   func() (string, error) { return "10.0.0.1", nil },
		CRISocket: func() (string, error) { return "unix:///run/containerd/containerd.sock", nil },
	}
}

const full = `
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
- token: abcdef.0123456789abcdef
  ttl: 0s
nodeRegistration:
  name: cp-1
  taints: []
  kubeletExtraArgs:
  - {name: node-ip, value: 10.0.0.7}
localAPIEndpoint: {advertiseAddress: 10.0.0.7, bindPort: 6444}
timeouts: {controlPlaneComponentHealthCheck: 2m}
---
# a document that is only a comment is skipped
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.1
controlPlaneEndpoint: api.example.org:443
networking: {podSubnet: 10.244.0.0/16}
apiServer:
  certSANs: [api.example.org]
  extraArgs:
  - {name: audit-log-path, value: "-"}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
resolvConf: ""
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
`

func TestDecodeReadsEveryDocument(t *testing.T) {
	docs, err := Decode([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if docs.Init.NodeRegistration.Taints == nil || len(docs.Init.NodeRegistration.Taints) != 0 {
		t.Error("taints: [] must be an empty list, not the default")
	}
	if docs.Init.BootstrapTokens[0].TTL.Duration != 0 || docs.Init.LocalAPIEndpoint.HostPort() != "10.0.0.7:6444" {
		t.Errorf("init: %+v", docs.Init)
	}
	if docs.Cluster.APIServer.ExtraArgs[0].Name != "audit-log-path" || docs.Cluster.APIServer.CertSANs[0] != "api.example.org" {
		t.Errorf("inlined fields of apiServer were lost: %+v", docs.Cluster.APIServer)
	}
	if *docs.Kubelet.FailCgroupV1 || *docs.Kubelet.ResolverConfig != "" || docs.Proxy.Mode != "iptables" {
		t.Error("component configuration was lost")
	}
}

func TestDecodeReportsEveryFault(t *testing.T) {
	_, err := Decode([]byte(`
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
networking: {podSubnt: 10.244.0.0/16}
APIServer: {}
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery: {}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery: {}
---
kind: Pod
`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`document 1 (ClusterConfiguration): unknown field "APIServer"`, `unknown field "networking.podSubnt"`,
		"document 2 (InitConfiguration): apiVersion \"kubeadm.k8s.io/v1beta3\" is not served: rewrite the file with `kubeadm config migrate",
		"document 4 (JoinConfiguration): this kind stands in the file twice", "document 5: apiVersion and kind are required",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":         {"", "no document found"},
		"doubled keys":    {"kind: A\nkind: B\n", "no valid YAML"},
		"a foreign kind":  {"apiVersion: v1\nkind: Pod\n", "unknown apiVersion"},
		"a wrong type":    {"apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nskipPhases: 3\n", "InitConfiguration"},
		"a bad time span": {"apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\ntimeouts: {discovery: soon}\n", "soon"},
	} {
		if _, err := Decode([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tc.want)
		}
	}
}

// valid returns a defaulted configuration without faults, for tests to break.
func valid(t *testing.T) (*InitConfiguration, *ClusterConfiguration) {
	t.Helper()
	init, cluster := &InitConfiguration{}, &ClusterConfiguration{Networking: Networking{PodSubnet: "10.244.0.0/16"}}
	if err := DefaultInit(init, machine()); err != nil {
		t.Fatal(err)
	}
	if err := DefaultCluster(cluster); err != nil {
		t.Fatal(err)
	}
	return init, cluster
}

func TestDefaultsAreValidAndGolden(t *testing.T) {
	init, cluster := valid(t)
	if faults := append(ValidateInit(init), ValidateCluster(cluster)...); len(faults) > 0 {
		t.Fatalf("defaults have faults: %v", faults)
	}
	init.BootstrapTokens[0].Token = "abcdef.0123456789abcdef"
	kubelet, proxy := &kubeletv1beta1.KubeletConfiguration{}, &proxyv1alpha1.KubeProxyConfiguration{}
	if err := DefaultKubelet(kubelet, cluster, machine()); err != nil {
		t.Fatal(err)
	}
	DefaultProxy(proxy, cluster)
	got, err := Encode(init, cluster, kubelet, proxy)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/defaults.yaml", got)
	back, err := Decode(got)
	if err != nil {
		t.Fatalf("what is written cannot be read: %v", err)
	}
	if diff := cmp.Diff(cluster, back.Cluster); diff != "" {
		t.Errorf("a written ClusterConfiguration changed:\n%s", diff)
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if updating() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (rewrite it with -update):\n%s", path, diff)
	}
}

func TestValidation(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*InitConfiguration, *ClusterConfiguration)
		want   string
	}{
		"node name":    {func(i *InitConfiguration, _ *ClusterConfiguration) { i.NodeRegistration.Name = "Node_1" }, "nodeRegistration.name: Invalid value"},
		"no node name": {func(i *InitConfiguration, _ *ClusterConfiguration) { i.NodeRegistration.Name = "" }, "nodeRegistration.name: Required value"},
		"socket":       {func(i *InitConfiguration, _ *ClusterConfiguration) { i.NodeRegistration.CRISocket = "/run/x.sock" }, "unix://"},
		"taint effect": {func(i *InitConfiguration, _ *ClusterConfiguration) {
			i.NodeRegistration.Taints = []corev1.Taint{{Key: "a", Effect: "Never"}}
		}, "nodeRegistration.taints[0].effect"},
		"pull policy": {func(i *InitConfiguration, _ *ClusterConfiguration) { i.NodeRegistration.ImagePullPolicy = "Often" }, "imagePullPolicy"},
		"kubelet arg": {func(i *InitConfiguration, _ *ClusterConfiguration) {
			i.NodeRegistration.KubeletExtraArgs = []Arg{{Name: "--v"}}
		}, "kubeletExtraArgs[0].name"},
		"ignored all and more": {func(i *InitConfiguration, _ *ClusterConfiguration) {
			i.NodeRegistration.IgnorePreflightErrors = []string{"all", "Swap"}
		}, "must stand alone"},
		"advertise address": {func(i *InitConfiguration, _ *ClusterConfiguration) {
			i.LocalAPIEndpoint.AdvertiseAddress = "example.org"
		}, "localAPIEndpoint.advertiseAddress"},
		"port":                    {func(i *InitConfiguration, _ *ClusterConfiguration) { i.LocalAPIEndpoint.BindPort = 70000 }, "localAPIEndpoint.bindPort"},
		"token":                   {func(i *InitConfiguration, _ *ClusterConfiguration) { i.BootstrapTokens[0].Token = "secretsecret" }, "bootstrapTokens[0].token: Invalid value: \"<hidden>\""},
		"token ttl and expires":   {func(i *InitConfiguration, _ *ClusterConfiguration) { i.BootstrapTokens[0].Expires = &metav1.Time{} }, "mutually exclusive"},
		"token usage":             {func(i *InitConfiguration, _ *ClusterConfiguration) { i.BootstrapTokens[0].Usages = []string{"cooking"} }, "usages"},
		"token group":             {func(i *InitConfiguration, _ *ClusterConfiguration) { i.BootstrapTokens[0].Groups = []string{"admins"} }, "groups[0]"},
		"certificate key":         {func(i *InitConfiguration, _ *ClusterConfiguration) { i.CertificateKey = "abc" }, "certificateKey: Invalid value: \"<hidden>\""},
		"patches":                 {func(i *InitConfiguration, _ *ClusterConfiguration) { i.Patches = &Patches{Directory: "here"} }, "patches.directory"},
		"timeout":                 {func(i *InitConfiguration, _ *ClusterConfiguration) { i.Timeouts.Discovery = &metav1.Duration{} }, "timeouts.discovery"},
		"version":                 {func(_ *InitConfiguration, c *ClusterConfiguration) { c.KubernetesVersion = "v1.35.0" }, "kubernetesVersion"},
		"service range":           {func(_ *InitConfiguration, c *ClusterConfiguration) { c.Networking.ServiceSubnet = "10.96.0.0" }, "networking.serviceSubnet"},
		"service range too large": {func(_ *InitConfiguration, c *ClusterConfiguration) { c.Networking.ServiceSubnet = "10.0.0.0/8" }, "1048576"},
		"overlap":                 {func(_ *InitConfiguration, c *ClusterConfiguration) { c.Networking.PodSubnet = "10.100.0.0/16" }, "overlaps networking.serviceSubnet"},
		"pod range too small":     {func(_ *InitConfiguration, c *ClusterConfiguration) { c.Networking.PodSubnet = "10.244.0.0/25" }, "node-cidr-mask-size"},
		"same families": {func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.Networking.PodSubnet = "10.244.0.0/16,10.245.0.0/16"
		}, "IP families"},
		"domain":    {func(_ *InitConfiguration, c *ClusterConfiguration) { c.Networking.DNSDomain = "-x" }, "networking.dnsDomain"},
		"two etcds": {func(_ *InitConfiguration, c *ClusterConfiguration) { c.Etcd.External = &ExternalEtcd{} }, "mutually exclusive"},
		"external etcd": {func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.Etcd = Etcd{External: &ExternalEtcd{Endpoints: []string{"http://e:2379"}, CAFile: "/ca"}}
		}, "etcd.external.endpoints[0]"},
		"endpoint":         {func(_ *InitConfiguration, c *ClusterConfiguration) { c.ControlPlaneEndpoint = "a:b:c" }, "controlPlaneEndpoint"},
		"certificate name": {func(_ *InitConfiguration, c *ClusterConfiguration) { c.APIServer.CertSANs = []string{"a b"} }, "apiServer.certSANs[0]"},
		"volume": {func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.Scheduler.ExtraVolumes = []HostPathMount{{Name: "a", HostPath: "x", MountPath: "/y"}}
		}, "scheduler.extraVolumes[0].hostPath"},
		"folder":    {func(_ *InitConfiguration, c *ClusterConfiguration) { c.CertificatesDir = "pki" }, "certificatesDir"},
		"algorithm": {func(_ *InitConfiguration, c *ClusterConfiguration) { c.EncryptionAlgorithm = "RSA-1" }, "encryptionAlgorithm"},
		"validity": {func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.CertificateValidityPeriod = &metav1.Duration{Duration: -1}
		}, "certificateValidityPeriod"},
		"unknown gate": {func(_ *InitConfiguration, c *ClusterConfiguration) { c.FeatureGates = map[string]bool{"X": true} }, "featureGates[X]"},
		"graduated gate off": {func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.FeatureGates = map[string]bool{"EtcdLearnerMode": false}
		}, "always on"},
	} {
		t.Run(name, func(t *testing.T) {
			init, cluster := valid(t)
			tc.change(init, cluster)
			err := Faults("configuration", append(ValidateInit(init), ValidateCluster(cluster)...))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a fault with %q", err, tc.want)
			}
		})
	}
}

func TestValidConfigurations(t *testing.T) {
	for name, change := range map[string]func(*InitConfiguration, *ClusterConfiguration){
		"dual stack": func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.Networking = Networking{"10.96.0.0/16,fd00:1::/112", "10.244.0.0/16,fd00:2::/56", "cluster.local"}
		},
		"no pod range": func(_ *InitConfiguration, c *ClusterConfiguration) { c.Networking.PodSubnet = "" },
		"own node mask": func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.Networking.PodSubnet = "10.244.0.0/25"
			c.ControllerManager.ExtraArgs = []Arg{{"node-cidr-mask-size", "28"}}
		},
		"no node ranges": func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.Networking.PodSubnet = "10.244.0.0/25"
			c.ControllerManager.ExtraArgs = []Arg{{"allocate-node-cidrs", "false"}}
		},
		"external etcd": func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.Etcd = Etcd{External: &ExternalEtcd{Endpoints: []string{"https://e:2379"}, CAFile: "/ca", CertFile: "/c", KeyFile: "/k"}}
		},
		"previous minor": func(_ *InitConfiguration, c *ClusterConfiguration) { c.KubernetesVersion = "v1.36.4" },
		"graduated gate": func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.FeatureGates = map[string]bool{"EtcdLearnerMode": true}
		},
		"IPv6 endpoint": func(_ *InitConfiguration, c *ClusterConfiguration) { c.ControlPlaneEndpoint = "[fd00::1]:6443" },
		"wildcard name": func(_ *InitConfiguration, c *ClusterConfiguration) {
			c.APIServer.CertSANs = []string{"*.example.org", "10.0.0.9"}
		},
		"token forever":   func(i *InitConfiguration, _ *ClusterConfiguration) { i.BootstrapTokens[0].TTL = &metav1.Duration{} },
		"certificate key": func(i *InitConfiguration, _ *ClusterConfiguration) { i.CertificateKey = strings.Repeat("0f", 32) },
	} {
		t.Run(name, func(t *testing.T) {
			init, cluster := valid(t)
			change(init, cluster)
			if faults := append(ValidateInit(init), ValidateCluster(cluster)...); len(faults) > 0 {
				t.Error(faults)
			}
		})
	}
}

func TestJoinValidation(t *testing.T) {
	token := func() *TokenDiscovery {
		return &TokenDiscovery{Token: "abcdef.0123456789abcdef", APIServerEndpoint: "10.0.0.1:6443", CACertHashes: []string{"sha256:" + strings.Repeat("0", 64)}}
	}
	for name, tc := range map[string]struct {
		discovery Discovery
		want      string
	}{
		"by token":       {Discovery{BootstrapToken: token()}, ""},
		"by file":        {Discovery{File: &FileDiscovery{"/etc/discovery.conf"}}, ""},
		"by URL":         {Discovery{File: &FileDiscovery{"https://example.org/discovery.conf"}}, ""},
		"by plain HTTP":  {Discovery{File: &FileDiscovery{"http://example.org/discovery.conf"}}, "must use https"},
		"by neither":     {Discovery{}, "discovery: Required value"},
		"by both":        {Discovery{BootstrapToken: token(), File: &FileDiscovery{"/f"}}, "mutually exclusive"},
		"without a pin":  {Discovery{BootstrapToken: &TokenDiscovery{Token: "abcdef.0123456789abcdef", APIServerEndpoint: "a:1"}}, "--discovery-token-ca-cert-hash"},
		"with a bad pin": {Discovery{BootstrapToken: &TokenDiscovery{Token: "abcdef.0123456789abcdef", APIServerEndpoint: "a:1", CACertHashes: []string{"md5:1"}}}, "caCertHashes[0]"},
		"without a port": {Discovery{BootstrapToken: &TokenDiscovery{Token: "abcdef.0123456789abcdef", APIServerEndpoint: "a", UnsafeSkipCAVerification: true}}, "host:port"},
		"a bad token":    {Discovery{BootstrapToken: &TokenDiscovery{Token: "topsecret", APIServerEndpoint: "a:1", UnsafeSkipCAVerification: true}}, "<hidden>"},
	} {
		t.Run(name, func(t *testing.T) {
			join := &JoinConfiguration{Discovery: tc.discovery}
			if err := DefaultJoin(join, machine()); err != nil {
				t.Fatal(err)
			}
			err := Faults(KindJoin, ValidateJoin(join))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "topsecret") {
				t.Error("a token must not be repeated in a message")
			}
		})
	}
}

func TestWorkersGetNoTaintAndControlPlanesDo(t *testing.T) {
	worker, controlPlane := &JoinConfiguration{}, &JoinConfiguration{ControlPlane: &JoinControlPlane{}}
	for _, c := range []*JoinConfiguration{worker, controlPlane} {
		if err := DefaultJoin(c, machine()); err != nil {
			t.Fatal(err)
		}
	}
	if worker.NodeRegistration.Taints != nil || len(controlPlane.NodeRegistration.Taints) != 1 {
		t.Errorf("worker %v, control plane %v", worker.NodeRegistration.Taints, controlPlane.NodeRegistration.Taints)
	}
}

func TestKubeletDefaultsKeepWhatTheUserChose(t *testing.T) {
	_, cluster := valid(t)
	k := &kubeletv1beta1.KubeletConfiguration{CgroupDriver: "systemd", ClusterDNS: []string{"10.9.9.9"}, ResolverConfig: ptr.To("")}
	m := machine()
	m.ResolvConf = "/run/systemd/resolve/resolv.conf"
	if err := DefaultKubelet(k, cluster, m); err != nil {
		t.Fatal(err)
	}
	if k.CgroupDriver != "systemd" || k.ClusterDNS[0] != "10.9.9.9" || *k.ResolverConfig != "" {
		t.Errorf("overwritten: %+v", k)
	}
	text, err := Encode(k)
	if err != nil || !strings.Contains(string(text), `resolvConf: ""`) {
		t.Errorf("an empty resolvConf decides something and must be written: %v\n%s", err, text)
	}
}

func TestEndpoint(t *testing.T) {
	local := APIEndpoint{AdvertiseAddress: "fd00::5", BindPort: 6443}
	for endpoint, want := range map[string]string{
		"":                   "[fd00::5]:6443",
		"lb.example.org":     "lb.example.org:6443",
		"lb.example.org:443": "lb.example.org:443",
		"10.0.0.9":           "10.0.0.9:6443",
		"fd00::9":            "[fd00::9]:6443",
	} {
		got, err := Endpoint(&ClusterConfiguration{ControlPlaneEndpoint: endpoint}, local)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", endpoint, got, err, want)
		}
	}
}

func TestServiceAddresses(t *testing.T) {
	n := Networking{ServiceSubnet: "10.96.0.0/12,fd00::/108"}
	first, err := n.ServiceIP()
	dns, err2 := n.DNSIP()
	if err != nil || err2 != nil || first.String() != "10.96.0.1" || dns.String() != "10.96.0.10" {
		t.Errorf("%v %v, %v %v", first, err, dns, err2)
	}
	if _, err := AddressIn("10.0.0.0/30", 10); err == nil {
		t.Error("a range too small must be an error")
	}
}

func TestImages(t *testing.T) {
	_, c := valid(t)
	want := []string{
		"pilotis.dev/kube-apiserver:" + c.KubernetesVersion, "pilotis.dev/kube-controller-manager:" + c.KubernetesVersion,
		"pilotis.dev/kube-scheduler:" + c.KubernetesVersion, "pilotis.dev/kube-proxy:" + c.KubernetesVersion,
		"pilotis.dev/coredns:v1.15.0", "pilotis.dev/pause:3.10.1", "pilotis.dev/etcd:3.7.3-0", "pilotis.dev/cni:v1.9.1",
	}
	if diff := cmp.Diff(want, ImagesOf(c).List()); diff != "" {
		t.Error(diff)
	}
	c.Proxy.Disabled, c.DNS.ImageRepository, c.DNS.ImageTag = true, "example.org/dns", "v9"
	c.Etcd = Etcd{External: &ExternalEtcd{}}
	images := ImagesOf(c)
	if images.Proxy != "" || images.Etcd != "" || images.CoreDNS != "example.org/dns/coredns:v9" {
		t.Errorf("%+v", images)
	}
}

func TestResolveVersionAsksNobody(t *testing.T) {
	for text, want := range map[string]string{"": Release(), "stable-1": Release(), "release/stable-1.37": Release(), "latest": Release(), "1.36.0": "v1.36.0", "v1.37.0-rc.1": "v1.37.0-rc.1"} {
		got, err := ResolveVersion(text)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := ResolveVersion("one"); err == nil {
		t.Error("nonsense must be refused")
	}
}

func TestMigrate(t *testing.T) {
	old := `apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
apiServer:
  timeoutForControlPlane: 3m0s
  extraArgs: {v: "4", audit-log-path: "-"}
etcd: {local: {dataDir: /data, extraArgs: {heartbeat-interval: "200"}}}
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: JoinConfiguration
discovery:
  timeout: 6m0s
  file: {kubeConfigPath: /d.conf}
nodeRegistration: {kubeletExtraArgs: {node-ip: 10.0.0.3}}
`
	text, err := Migrate([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	docs, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Arg{{"audit-log-path", "-"}, {"v", "4"}}, docs.Cluster.APIServer.ExtraArgs); diff != "" {
		t.Error(diff)
	}
	if docs.Init == nil || docs.Init.Timeouts.ControlPlaneComponentHealthCheck.Duration != 3*time.Minute {
		t.Errorf("the control plane timeout was lost: %s", text)
	}
	if docs.Join.Timeouts.Discovery.Duration != 6*time.Minute || docs.Join.NodeRegistration.KubeletExtraArgs[0].Value != "10.0.0.3" {
		t.Errorf("join: %+v", docs.Join)
	}
	if again, err := Migrate(text); err != nil || string(again) != string(text) {
		t.Errorf("migrating the current version must change nothing: %v", err)
	}
}

func TestFaultsAreInOrder(t *testing.T) {
	err := Faults("X", field.ErrorList{field.Required(field.NewPath("b"), ""), field.Required(field.NewPath("a"), "")})
	if err == nil || strings.Index(err.Error(), "a: Required") > strings.Index(err.Error(), "b: Required") {
		t.Errorf("%v", err)
	}
	if Faults("X", nil) != nil {
		t.Error("no faults are no error")
	}
}

func TestDeepCopySharesNothing(t *testing.T) {
	_, c := valid(t)
	c.APIServer.ExtraArgs = []Arg{{"a", "b"}}
	copied := c.DeepCopy()
	copied.APIServer.ExtraArgs[0].Value, copied.Etcd.Local.DataDir = "changed", "/changed"
	if c.APIServer.ExtraArgs[0].Value != "b" || c.Etcd.Local.DataDir != DefaultEtcdDataDir {
		t.Error("the copy shares memory with the original")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("---\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := Decode(data)
		if err != nil || docs.Cluster == nil {
			return
		}
		if DefaultCluster(docs.Cluster) == nil {
			ValidateCluster(docs.Cluster)
		}
	})
}
