package phases

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

func TestFirstObjectsOfACluster(t *testing.T) {
	n := testNode(t)
	makeCerts(t, n)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoSchedule}}}}
	client := fake.NewClientset(node)
	token := config.BootstrapToken{Token: "abcdef.0123456789abcdef", TTL: &metav1.Duration{Duration: time.Hour}, Usages: []string{"signing", "authentication"}, Groups: []string{config.NodeBootstrapGroup}}
	key, _ := NewCertificateKey()
	steps := []func() error{
		func() error { return n.EnsureAdmin(t.Context(), client, nil) },
		func() error { return n.UploadConfig(t.Context(), client) },
		func() error { return n.UploadKubeletConfig(t.Context(), client) },
		func() error { return n.MarkControlPlane(t.Context(), client) },
		func() error { return n.BootstrapTokens(t.Context(), client, []config.BootstrapToken{token}) },
		func() error { return n.InstallAddon(t.Context(), client, CoreDNS) },
		func() error { return n.InstallAddon(t.Context(), client, KubeProxy) },
		func() error { return n.InstallAddon(t.Context(), client, PodNet) },
	}
	for round := range 2 { // the second round must find everything and change nothing for the worse
		for i, step := range steps {
			if err := step(); err != nil {
				t.Fatalf("round %d, step %d: %v", round, i, err)
			}
		}
	}
	if err := n.UploadCerts(t.Context(), client, key); err != nil {
		t.Fatal(err)
	}
	docs, err := cluster.Stored(t.Context(), client, true)
	if err != nil || docs.Cluster.Networking.PodSubnet != "10.244.0.0/16" || docs.Kubelet.ContainerRuntimeEndpoint != "" || docs.Proxy == nil {
		t.Errorf("%+v, %v", docs, err)
	}
	got, err := client.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	if _, ok := got.Labels[config.LabelControlPlane]; err != nil || !ok || len(got.Spec.Taints) != 2 {
		t.Errorf("labels %v, taints %v, %v", got.Labels, got.Spec.Taints, err)
	}
	info, err := client.CoreV1().ConfigMaps("kube-public").Get(t.Context(), "cluster-info", metav1.GetOptions{})
	if err != nil || strings.Contains(info.Data["kubeconfig"], "PRIVATE") || !strings.Contains(info.Data["kubeconfig"], "https://10.0.0.1:6443") {
		t.Errorf("%v, %v", info, err)
	}
	if strings.Contains(n.Out.(*bytes.Buffer).String(), "0123456789abcdef") || strings.Contains(n.Out.(*bytes.Buffer).String(), key) {
		t.Error("a secret was printed")
	}

	// Another node fetches the certificates with the key.
	other := testNode(t)
	if err := other.DownloadCerts(t.Context(), client, key); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ClusterCA, FrontProxyCA, EtcdCA} {
		mine, _ := certs.ReadCert(certs.CertPath(n.PKI(), name))
		pair, err := certs.ReadPair(other.PKI(), name)
		if err != nil || pair.Key == nil || !pair.Cert.Equal(mine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong, _ := NewCertificateKey()
	if err := testNode(t).DownloadCerts(t.Context(), client, wrong); err == nil {
		t.Error("a wrong key must not open the certificates")
	}
}

func TestCorefileEditsSurvive(t *testing.T) {
	n := testNode(t)
	edited := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Data: map[string]string{"Corefile": "mine"}}
	client := fake.NewClientset(edited)
	if err := n.InstallAddon(t.Context(), client, CoreDNS); err != nil {
		t.Fatal(err)
	}
	got, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "coredns", metav1.GetOptions{})
	if err != nil || got.Data["Corefile"] != "mine" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCheckNodeNameRefusesANodeThatIsUp(t *testing.T) {
	n := testNode(t)
	node := func(status corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}}}
	}
	if err := n.CheckNodeName(t.Context(), fake.NewClientset(node(corev1.ConditionTrue))); err == nil || !strings.Contains(err.Error(), "--node-name") {
		t.Errorf("got %v", err)
	}
	for name, client := range map[string]*fake.Clientset{"absent": fake.NewClientset(), "down": fake.NewClientset(node(corev1.ConditionFalse))} {
		if err := n.CheckNodeName(t.Context(), client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKubeletFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		change   func(*Node)
		register bool
		want     string
	}{
		"plain":          {func(*Node) {}, false, "KUBELET_KUBEADM_ARGS=\"\"\n"},
		"another name":   {func(n *Node) { n.Registration.Name = "other" }, false, "KUBELET_KUBEADM_ARGS=\"--hostname-override=other\"\n"},
		"taints on join": {func(*Node) {}, true, "KUBELET_KUBEADM_ARGS=\"--register-with-taints=node-role.kubernetes.io/control-plane:NoSchedule\"\n"},
		"no taints":      {func(n *Node) { n.Registration.Taints = []corev1.Taint{} }, true, "KUBELET_KUBEADM_ARGS=\"\"\n"},
		"user's arguments": {func(n *Node) {
			n.Registration.KubeletExtraArgs = []config.Arg{{Name: "node-ip", Value: "10.0.0.1"}, {Name: "v", Value: "4"}}
		}, false, "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.1 --v=4\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := testNode(t)
			tc.change(n)
			if err := n.KubeletFiles(t.Context(), tc.register); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(n.At(KubeletFlags))
			if err != nil || string(got) != tc.want {
				t.Errorf("%q, %v, want %q", got, err, tc.want)
			}
			data, err := os.ReadFile(n.At(KubeletConfig))
			if err != nil {
				t.Fatal(err)
			}
			docs, err := config.Decode(data)
			if err != nil || docs.Kubelet.ContainerRuntimeEndpoint != n.Registration.CRISocket {
				t.Errorf("%v\n%s", err, data)
			}
		})
	}
}

func TestFinalizeKubeletWaitsForTheRotatedPair(t *testing.T) {
	n := testNode(t)
	makeCerts(t, n)
	before, _ := os.ReadFile(n.Conf(KubeletConf))
	if err := n.FinalizeKubelet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(n.Conf(KubeletConf)); !bytes.Equal(before, after) {
		t.Error("without a rotated pair the file must stay as it is")
	}
	writeFile(t, n.At(rotatedPair), "pair")
	if err := n.FinalizeKubelet(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg, err := certs.ReadKubeconfig(n.Conf(KubeletConf))
	if err != nil {
		t.Fatal(err)
	}
	if _, user, err := certs.Current(cfg); err != nil || user.ClientCertificate != rotatedPair || len(user.ClientKeyData) > 0 {
		t.Errorf("%+v, %v", user, err)
	}
}

// logs is a container runtime that knows one log.
type logs struct{ path string }

func (l logs) ContainerLog(_ context.Context, name string) (string, bool, error) {
	if name != APIServer {
		return "", false, nil
	}
	return l.path, false, nil
}

// controlPlane serves the health endpoints of a control plane and points the manifests at them.
func controlPlane(t *testing.T, n *Node, healthy func(name string) bool) {
	t.Helper()
	for _, name := range []string{APIServer, ControllerManager, Scheduler} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !healthy(name) {
				w.WriteHeader(http.StatusInternalServerError)
				fmt.Fprint(w, "[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed\n")
			}
		}))
		t.Cleanup(server.Close)
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		port, _ := strconv.Atoi(u.Port())
		switch name {
		case APIServer:
			n.Endpoint = config.APIEndpoint{AdvertiseAddress: u.Hostname(), BindPort: int32(port)}
		case ControllerManager:
			n.Cluster.ControllerManager.ExtraArgs = []config.Arg{{Name: "secure-port", Value: u.Port()}}
		case Scheduler:
			n.Cluster.Scheduler.ExtraArgs = []config.Arg{{Name: "secure-port", Value: u.Port()}}
		}
		if err := n.ControlPlanePod(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWaitControlPlane(t *testing.T) {
	n := testNode(t)
	controlPlane(t, n, func(string) bool { return true })
	if err := n.WaitControlPlane(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := n.Out.(*bytes.Buffer).String(); !strings.Contains(text, "[control-plane-check] kube-scheduler is healthy after") {
		t.Error(text)
	}
}

func TestWaitControlPlaneNamesWhatFailsAndItsLog(t *testing.T) {
	n := testNode(t)
	n.Timeouts.ControlPlaneComponentHealthCheck = &metav1.Duration{Duration: 200 * time.Millisecond}
	log := t.TempDir() + "/0.log"
	writeFile(t, log, "first\nlast words\n")
	n.Logs = func(context.Context) (ContainerLogs, error) { return logs{log}, nil }
	controlPlane(t, n, func(name string) bool { return name == Scheduler })
	err := n.WaitControlPlane(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"kube-apiserver: https://127.0.0.1", "[-]etcd failed", log, "last words", "kube-controller-manager", "no container was ever made"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "kube-scheduler: ") {
		t.Error("a healthy component is blamed")
	}
}
