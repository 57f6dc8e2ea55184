package phases

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pilotis.dev/cmd/kubeadm/config"
)

// machineActions records what a reset does beyond files.
type machineActions struct {
	supervisor
	order    []string
	unmount  error
	pods     []string
	podsFail error
}

func (m *machineActions) StopKubelet(context.Context) error {
	m.order = append(m.order, "stop kubelet")
	return nil
}
func (m *machineActions) UnmountBelow(string, []string) error {
	m.order = append(m.order, "unmount")
	return m.unmount
}
func (m *machineActions) RemovePods(context.Context) ([]string, error) {
	m.order = append(m.order, "remove pods")
	return m.pods, m.podsFail
}

func testReset(t *testing.T) (*Reset, *machineActions) {
	t.Helper()
	n := testNode(t)
	makeCerts(t, n)
	for _, name := range []string{Etcd, APIServer, ControllerManager, Scheduler} {
		if err := n.ControlPlanePod(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.KubeletFiles(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	writeFile(t, n.At("/var/lib/etcd/member/wal"), "data")
	writeFile(t, n.At(KubeletDir+"/pods/uid/volumes/x"), "data")
	writeFile(t, n.At("/etc/cni/net.d/10-pilotis.conflist"), "kept")
	c := &config.ResetConfiguration{CRISocket: "unix:///run/x.sock"}
	config.DefaultReset(c, config.Machine{})
	m := &machineActions{pods: []string{"kube-system/etcd"}}
	return &Reset{Node: n, Config: c, Host: m, Pods: func(context.Context) (PodRemover, error) { return m, nil }}, m
}

func TestResetLeavesNothingOfKubeadm(t *testing.T) {
	r, m := testReset(t)
	if err := r.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := snapshot(t, r.Root)
	if len(left) != 1 || !strings.Contains(left[0], "10-pilotis.conflist") {
		t.Errorf("left: %v", left)
	}
	if !slices.Equal(m.order, []string{"stop kubelet", "remove pods", "unmount"}) {
		t.Errorf("order %v", m.order)
	}
	if err := r.Cleanup(t.Context()); err != nil {
		t.Errorf("a second reset must find nothing to do: %v", err)
	}
}

func TestResetGoesOnAfterFailuresAndKeepsMountedData(t *testing.T) {
	r, m := testReset(t)
	m.unmount, m.podsFail = errors.New("device busy"), errors.New("runtime hangs")
	err := r.Cleanup(t.Context())
	if err == nil || !strings.Contains(err.Error(), "device busy") || !strings.Contains(err.Error(), "runtime hangs") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(r.At(KubeletDir + "/pods/uid/volumes/x")); err != nil {
		t.Error("what may still be mounted must not be deleted")
	}
	if _, err := os.Stat(r.Conf(AdminConf)); err == nil {
		t.Error("the rest must be removed all the same")
	}
}

func TestResetDryRunChangesNothing(t *testing.T) {
	r, m := testReset(t)
	r.DryRun = true
	before := snapshot(t, r.Root)
	if err := r.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, snapshot(t, r.Root)) || len(m.order) > 0 {
		t.Error("a dry run changed something")
	}
	if text := r.Out.(*bytes.Buffer).String(); !strings.Contains(text, "/var/lib/etcd") {
		t.Error(text)
	}
}

func TestResetRefusesSystemFolders(t *testing.T) {
	r, _ := testReset(t)
	r.Config.CertificatesDir = "/etc/"
	if err := r.Cleanup(t.Context()); err == nil || !strings.Contains(err.Error(), "refusing to delete the contents of /etc") {
		t.Errorf("got %v", err)
	}
}

// kubelet takes up manifests at once: a pod's fingerprint is its manifest's content. Components in broken never become ready.
type kubelet struct {
	n      *Node
	broken []string
}

func (k kubelet) Fingerprint(_ context.Context, component string) (string, error) {
	data, err := os.ReadFile(k.n.Manifest(component))
	return string(data), err
}

func (k kubelet) Ready(_ context.Context, component string) (bool, error) {
	return !slices.Contains(k.broken, component), nil
}

func testUpgrade(t *testing.T, broken ...string) *Upgrade {
	t.Helper()
	n := testNode(t)
	n.Cluster.KubernetesVersion = "v1.36.5"
	makeCerts(t, n)
	for _, name := range []string{Etcd, APIServer, ControllerManager, Scheduler} {
		if err := n.ControlPlanePod(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	n.Cluster.KubernetesVersion = "v1.37.2"
	n.Timeouts.UpgradeManifests = &metav1.Duration{Duration: 100 * time.Millisecond}
	return &Upgrade{Node: n, Pods: kubelet{n, broken}, UpgradeEtcd: true, RenewCerts: true}
}

func manifests(t *testing.T, n *Node) string {
	t.Helper()
	var out strings.Builder
	for _, name := range []string{Etcd, APIServer, ControllerManager, Scheduler} {
		data, err := os.ReadFile(n.Manifest(name))
		if err != nil {
			t.Fatal(err)
		}
		out.Write(data)
	}
	return out.String()
}

func TestUpgradeReplacesManifestsAndRenewsCertificates(t *testing.T) {
	u := testUpgrade(t)
	u.Now = func() time.Time { return testNow.Add(100 * 24 * time.Hour) }
	if err := u.ControlPlane(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := manifests(t, u.Node)
	if strings.Contains(text, "v1.36.5") || strings.Count(text, ":v1.37.2") != 3 {
		t.Error(text)
	}
	leaves, _ := u.Expirations()
	for _, e := range leaves {
		if !e.Expires.Equal(u.Now().Add(365 * 24 * time.Hour)) {
			t.Errorf("%s was not renewed: %s", e.Name, e.Expires)
		}
	}
	if out := u.Out.(*bytes.Buffer).String(); !strings.Contains(out, "Current and new manifests of etcd are equal") || !strings.Contains(out, `Component "kube-scheduler" upgraded successfully`) {
		t.Error(out)
	}
	backups, _ := filepath.Glob(u.At(backupPrefix + "*/*.yaml"))
	if len(backups) != 3 {
		t.Errorf("backups %v", backups)
	}
}

func TestUpgradeRollsBackWhenAComponentStaysAway(t *testing.T) {
	u := testUpgrade(t, ControllerManager)
	before := manifests(t, u.Node)
	err := u.ControlPlane(t.Context())
	if err == nil || !strings.Contains(err.Error(), "upgrading kube-controller-manager") || !strings.Contains(err.Error(), "previous manifests are back") ||
		!strings.Contains(err.Error(), "the previous kube-controller-manager is not back") {
		t.Errorf("got %v", err)
	}
	if manifests(t, u.Node) != before {
		t.Error("the old manifests are not back")
	}
}

// slowKubelet takes a manifest up only when its pod was asked for a number of times since the last one.
type slowKubelet struct {
	kubelet
	taken map[string]string // component to the manifest its pod runs from
	asked map[string]int
}

func (k slowKubelet) Fingerprint(ctx context.Context, component string) (string, error) {
	now, err := k.kubelet.Fingerprint(ctx, component)
	if k.taken[component] == "" {
		k.taken[component] = now
	}
	if k.taken[component] != now {
		if k.asked[component]++; k.asked[component] >= 3 {
			k.taken[component], k.asked[component] = now, 0
		}
	}
	return k.taken[component], err
}

func (k slowKubelet) Ready(_ context.Context, component string) (bool, error) {
	return component != Scheduler || !strings.Contains(k.taken[component], "v1.37.2"), nil
}

// TestRollbackWaitsForThePodsOfBefore: when the command returns they run, so that a next try begins from what it was.
func TestRollbackWaitsForThePodsOfBefore(t *testing.T) {
	u := testUpgrade(t)
	u.Timeouts.UpgradeManifests = &metav1.Duration{Duration: 4 * healthPeriod}
	slow := slowKubelet{kubelet{n: u.Node}, map[string]string{}, map[string]int{}}
	u.Pods = slow
	before := manifests(t, u.Node)
	err := u.ControlPlane(t.Context())
	if err == nil || !strings.Contains(err.Error(), "upgrading kube-scheduler") || strings.Contains(err.Error(), "is not back") {
		t.Errorf("got %v", err)
	}
	if manifests(t, u.Node) != before {
		t.Error("the old manifests are not back")
	}
	for component, manifest := range slow.taken {
		if strings.Contains(manifest, "v1.37.2") {
			t.Errorf("%s still runs from the new manifest", component)
		}
	}
}

func TestReadInstalledFindsWhatInitWrote(t *testing.T) {
	u := testUpgrade(t)
	if err := u.KubeletFiles(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	n := testNode(t)
	n.Root, n.Registration, n.Endpoint = u.Root, &config.NodeRegistration{}, config.APIEndpoint{}
	if err := n.ReadInstalled(); err != nil {
		t.Fatal(err)
	}
	if n.Registration.Name != "node-1" || n.Registration.CRISocket != "unix:///run/containerd/containerd.sock" || n.Endpoint.HostPort() != "10.0.0.1:6443" || !n.IsControlPlane() {
		t.Errorf("%+v %+v", n.Registration, n.Endpoint)
	}
	if name, err := n.EtcdName(); err != nil || name != "node-1" {
		t.Errorf("%q, %v", name, err)
	}
	n.Root = t.TempDir()
	if err := n.ReadInstalled(); err == nil || !strings.Contains(err.Error(), "no node of a cluster") {
		t.Errorf("got %v", err)
	}
}
