package phases

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	proxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"pilotis.dev/cmd/kubeadm/config"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite golden files and manifests/")
	flag.Parse()
	os.Exit(m.Run())
}

// supervisor is a kubelet run by somebody else; it counts what is asked of it.
type supervisor struct{ started, restarted, stopped int }

func (s *supervisor) StartKubelet(context.Context) (bool, error) { s.started++; return false, nil }
func (s *supervisor) RestartKubelet(context.Context) error       { s.restarted++; return nil }
func (s *supervisor) StopKubelet(context.Context) error          { s.stopped++; return nil }

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testNode is the first control plane node of a default cluster, below a scratch folder.
func testNode(t *testing.T) *Node {
	t.Helper()
	machine := config.Machine{
		Hostname:  "node-1",
		Address:   func() (string, error) { return "10.0.0.1", nil },
		CRISocket: func() (string, error) { return "unix:///run/containerd/containerd.sock", nil },
	}
	init := &config.InitConfiguration{}
	c := &config.ClusterConfiguration{KubernetesVersion: "v1.37.2", Networking: config.Networking{PodSubnet: "10.244.0.0/16"}, EncryptionAlgorithm: "ECDSA-P256"}
	kubelet, proxy := &kubeletv1beta1.KubeletConfiguration{}, &proxyv1alpha1.KubeProxyConfiguration{}
	for _, err := range []error{config.DefaultInit(init, machine), config.DefaultCluster(c), config.DefaultKubelet(kubelet, c, machine)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	config.DefaultProxy(proxy, c)
	return &Node{
		Cluster: c, Registration: &init.NodeRegistration, Endpoint: init.LocalAPIEndpoint, KubeletCfg: kubelet, ProxyCfg: proxy, Timeouts: init.Timeouts,
		Root: t.TempDir(), Out: &bytes.Buffer{}, Now: func() time.Time { return testNow }, Kubelet: &supervisor{}, Hostname: "node-1",
	}
}

// makeCerts writes every certificate and kubeconfig.
func makeCerts(t *testing.T, n *Node) {
	t.Helper()
	for _, c := range Certificates(n.Cluster) {
		if err := n.Certificate(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.ServiceAccountKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range Identities(n.Registration.Name) {
		if err := n.Kubeconfig(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

// golden compares with a file of this repository; -update rewrites it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
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
