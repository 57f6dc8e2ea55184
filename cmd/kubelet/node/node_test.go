package node

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/node/machine"
)

type fakeNetwork struct {
	names      map[string][]net.IP
	route      net.IP
	interfaces []net.IP
}

func (n fakeNetwork) Lookup(host string) []net.IP { return n.names[host] }
func (n fakeNetwork) DefaultRoute() net.IP        { return n.route }
func (n fakeNetwork) Interfaces() []net.IP        { return n.interfaces }

func ips(list ...string) (out []net.IP) {
	for _, s := range list {
		out = append(out, net.ParseIP(s))
	}
	return out
}

func TestAddressChoice(t *testing.T) {
	for _, c := range []struct {
		name, host string
		network    fakeNetwork
		want       string
	}{
		{"the name is an address", "10.1.2.3", fakeNetwork{}, "10.1.2.3"},
		{"the name resolves to one of the host's", "n1", fakeNetwork{names: map[string][]net.IP{"n1": ips("127.0.1.1", "10.0.0.9", "10.0.0.5")}, interfaces: ips("10.0.0.4", "10.0.0.5")}, "10.0.0.5"},
		{"IPv4 before IPv6", "n1", fakeNetwork{names: map[string][]net.IP{"n1": ips("fd00::5", "10.0.0.5")}, interfaces: ips("fd00::5", "10.0.0.5")}, "10.0.0.5"},
		{"a name that is another host's is not trusted", "n1", fakeNetwork{names: map[string][]net.IP{"n1": ips("10.9.9.9")}, route: net.ParseIP("10.0.0.4"), interfaces: ips("10.0.0.4")}, "10.0.0.4"},
		{"the default route", "n1", fakeNetwork{route: net.ParseIP("10.0.0.4"), interfaces: ips("192.168.0.1", "10.0.0.4")}, "10.0.0.4"},
		{"no route: the first that others may reach", "n1", fakeNetwork{interfaces: ips("169.254.1.1", "fe80::1", "172.30.0.2")}, "172.30.0.2"},
		{"nothing", "n1", fakeNetwork{interfaces: ips("127.0.0.1")}, ""},
	} {
		got := joinIPs(chooseIPs(c.network, c.host))
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAllocatable(t *testing.T) {
	capacity := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("4"), v1.ResourceMemory: resource.MustParse("1000Mi"), v1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		v1.ResourcePods: resource.MustParse("110"), "hugepages-2Mi": resource.MustParse("100Mi"),
	}
	reserved, err := ParseReserved(map[string]string{"cpu": "500m", "memory": "100Mi"}, map[string]string{"cpu": "250m", "ephemeral-storage": "1Gi"})
	if err != nil {
		t.Fatal(err)
	}
	got := allocatable(capacity, reserved, map[string]string{"memory.available": "10%", "nodefs.available": "10Gi"}, 100<<20)
	for name, want := range map[v1.ResourceName]string{v1.ResourceCPU: "3250m", v1.ResourceMemory: "700Mi", v1.ResourceEphemeralStorage: "89Gi", v1.ResourcePods: "110", "hugepages-2Mi": "100Mi"} {
		if q := got[name]; q.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("%s: %v, want %s", name, q.String(), want)
		}
	}
	tiny := allocatable(v1.ResourceList{v1.ResourceMemory: resource.MustParse("50Mi")}, reserved, nil, 0)
	if q := tiny[v1.ResourceMemory]; q.Sign() != 0 {
		t.Errorf("more is reserved than there is: %v is left", q.String())
	}
	if _, err := ParseReserved(map[string]string{"cpu": "x"}); err == nil {
		t.Error("an unreadable quantity is accepted")
	}
}

func TestDiffersIgnoresHeartbeats(t *testing.T) {
	now := metav1.Now()
	a := &v1.NodeStatus{Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue, LastHeartbeatTime: now}, {Type: v1.NodePIDPressure}}}
	b := &v1.NodeStatus{Conditions: []v1.NodeCondition{{Type: v1.NodePIDPressure}, {Type: v1.NodeReady, Status: v1.ConditionTrue}}}
	if differs(a, b) {
		t.Error("a heartbeat or an order is a change")
	}
	b.Conditions[1].Message = "other"
	if !differs(a, b) {
		t.Error("a message is no change")
	}
}

// fakeRuntime answers as the test sets it.
type fakeRuntime struct {
	internalapi.RuntimeService
	networkReady atomic.Bool
}

func (f *fakeRuntime) Version(context.Context, string) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeName: "containerd", RuntimeVersion: "2.0"}, nil
}

func (f *fakeRuntime) Status(context.Context, bool) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true},
		{Type: runtimeapi.NetworkReady, Status: f.networkReady.Load(), Reason: "NetworkPluginNotReady", Message: "Network plugin returns error: cni plugin not initialized"},
	}}}, nil
}

// fakeMachine is a folder with the files that machine reads.
func fakeMachine(t *testing.T) machine.Root {
	t.Helper()
	root := t.TempDir()
	for path, text := range map[string]string{
		"proc/meminfo":                   "MemTotal:       8388608 kB\nMemAvailable:   4194304 kB\nSwapTotal: 0 kB\n",
		"proc/loadavg":                   "0.1 0.1 0.1 1/100 123\n",
		"proc/sys/kernel/pid_max":        "32768\n",
		"proc/sys/kernel/random/boot_id": "boot-1\n",
		"proc/sys/kernel/osrelease":      "6.1.0\n",
		"sys/devices/system/cpu/online":  "0-3\n",
		"etc/machine-id":                 "m1\n",
		"etc/os-release":                 "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n",
		"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "3\n",
	} {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return machine.Root(root)
}

func testManager(t *testing.T, client *fake.Clientset, runtime *fakeRuntime, change func(*Config)) (*Manager, *record.FakeRecorder) {
	t.Helper()
	recorder := record.NewFakeRecorder(100)
	c := Config{Name: "n1", Client: client, Recorder: recorder, Runtime: runtime, Machine: fakeMachine(t), Register: true,
		Labels: map[string]string{"disk": "ssd"}, Taints: []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoSchedule}}, NodeIPs: ips("10.0.0.4"),
		RootDir: t.TempDir(), MaxPods: 110, EvictionHard: map[string]string{}, KubeletVersion: "v1.37.2", Port: 10250, MaxImages: 50,
		StatusEvery: 10 * time.Second, ReportEvery: 5 * time.Minute, LeaseDuration: 40 * time.Second, PressureSettle: 5 * time.Minute}
	if change != nil {
		change(&c)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m, recorder
}

func nodeOf(t *testing.T, client *fake.Clientset) *v1.Node {
	t.Helper()
	node, err := client.CoreV1().Nodes().Get(context.Background(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func conditionOf(t *testing.T, node *v1.Node, kind v1.NodeConditionType) v1.NodeCondition {
	t.Helper()
	for _, c := range node.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	t.Fatalf("no condition %s", kind)
	return v1.NodeCondition{}
}

func patches(client *fake.Clientset) (n int) {
	for _, a := range client.Actions() {
		if a.GetVerb() == "patch" {
			n++
		}
	}
	return n
}

func TestNodeLifeStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		runtime := &fakeRuntime{}
		m, recorder := testManager(t, client, runtime, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		synctest.Wait()

		node := nodeOf(t, client)
		for k, want := range map[string]string{"kubernetes.io/hostname": "n1", "kubernetes.io/os": "linux", "disk": "ssd"} {
			if node.Labels[k] != want {
				t.Errorf("label %s=%s", k, node.Labels[k])
			}
		}
		if _, beta := node.Labels["beta.kubernetes.io/os"]; beta {
			t.Error("a beta label is set")
		}
		if len(node.Spec.Taints) != 1 || node.Status.Addresses[0].Address != "10.0.0.4" || node.Status.Addresses[1].Type != v1.NodeHostName {
			t.Errorf("taints %v, addresses %v", node.Spec.Taints, node.Status.Addresses)
		}
		if q := node.Status.Capacity["hugepages-2Mi"]; q.Value() != 6<<20 {
			t.Errorf("huge pages %v", q.String())
		}
		if i := node.Status.NodeInfo; i.OSImage != "Debian GNU/Linux 12" || i.ContainerRuntimeVersion != "containerd://2.0" || i.KubeletVersion != "v1.37.2" || i.BootID != "boot-1" || i.MachineID != "m1" {
			t.Errorf("nodeInfo %+v", i)
		}
		ready := conditionOf(t, node, v1.NodeReady)
		if ready.Status != v1.ConditionFalse || ready.Reason != "KubeletNotReady" || ready.Message != "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized" {
			t.Errorf("ready %+v", ready)
		}
		lease, err := client.CoordinationV1().Leases("kube-node-lease").Get(ctx, "n1", metav1.GetOptions{})
		if err != nil || *lease.Spec.LeaseDurationSeconds != 40 {
			t.Errorf("lease %v, %v", lease, err)
		}

		runtime.networkReady.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if c := conditionOf(t, nodeOf(t, client), v1.NodeReady); c.Status != v1.ConditionTrue || c.Reason != "KubeletReady" || c.Message != "kubelet is posting ready status" {
			t.Errorf("a second after the network came: %+v", c)
		}
		before := patches(client)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if n := patches(client); n != before {
			t.Errorf("an unchanged status was written %d times in 4 minutes", n-before)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := patches(client); n != before+1 {
			t.Errorf("written %d times within 6 minutes, want 1", n-before)
		}

		// An administrator deletes the Node: it comes back.
		if err := client.CoreV1().Nodes().Delete(ctx, "n1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		nodeOf(t, client)

		stop()
		<-done
		synctest.Wait()
		var events []string
		for len(recorder.Events) > 0 {
			events = append(events, <-recorder.Events)
		}
		all := strings.Join(events, "\n")
		for _, want := range []string{"Starting Starting kubelet.", "NodeHasSufficientMemory Node n1 status is now: NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady Node n1 status is now: NodeReady"} {
			if !strings.Contains(all, want) {
				t.Errorf("events lack %q:\n%s", want, all)
			}
		}
	})
}

func TestRegisterKeepsWhatAnAdministratorDid(t *testing.T) {
	existing := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"own": "1", "kubernetes.io/hostname": "old"}}, Spec: v1.NodeSpec{Unschedulable: true}}
	client := fake.NewClientset(existing)
	m, _ := testManager(t, client, &fakeRuntime{}, nil)
	if err := m.ensureRegistered(t.Context()); err != nil {
		t.Fatal(err)
	}
	node := nodeOf(t, client)
	if node.Labels["own"] != "1" || node.Labels["kubernetes.io/hostname"] != "n1" || !node.Spec.Unschedulable || len(node.Spec.Taints) != 0 {
		t.Errorf("%v %+v", node.Labels, node.Spec)
	}
	if node.Annotations[annotationAttach] != "true" {
		t.Error("the attach annotation is missing")
	}
}

func TestExternalCloudCompletesTheNode(t *testing.T) {
	client := fake.NewClientset()
	m, _ := testManager(t, client, &fakeRuntime{}, func(c *Config) { c.ExternalCloud = true })
	if err := m.ensureRegistered(t.Context()); err != nil {
		t.Fatal(err)
	}
	node := nodeOf(t, client)
	if node.Annotations[annotationProvidedIP] != "10.0.0.4" || len(node.Spec.Taints) != 2 || node.Spec.Taints[1] != taintUninitialized {
		t.Errorf("%v %v", node.Annotations, node.Spec.Taints)
	}
}

func TestPressureSettles(t *testing.T) {
	m, _ := testManager(t, fake.NewClientset(), &fakeRuntime{}, func(c *Config) { c.EvictionHard = map[string]string{"memory.available": "5Gi"} })
	now := time.Unix(1000, 0)
	node := &v1.Node{}
	m.setPressures(node, now)
	if c := conditionOf(t, node, v1.NodeMemoryPressure); c.Status != v1.ConditionTrue || c.Reason != "KubeletHasInsufficientMemory" {
		t.Errorf("4 GiB of 5 are free: %+v", c)
	}
	m.EvictionHard["memory.available"] = "1Gi"
	m.setPressures(node, now.Add(4*time.Minute))
	if c := conditionOf(t, node, v1.NodeMemoryPressure); c.Status != v1.ConditionTrue {
		t.Error("the pressure ended before it settled")
	}
	m.setPressures(node, now.Add(6*time.Minute))
	if c := conditionOf(t, node, v1.NodeMemoryPressure); c.Status != v1.ConditionFalse || c.LastTransitionTime.Time != now.Add(6*time.Minute) {
		t.Errorf("%+v", c)
	}
	if c := conditionOf(t, node, v1.NodeDiskPressure); c.Status != v1.ConditionFalse || c.LastTransitionTime.Time != now {
		t.Errorf("%+v", c)
	}
}

func FuzzThreshold(f *testing.F) {
	f.Add("10%", uint64(100))
	f.Add("1Gi", uint64(1))
	f.Add("1111111111111111011111111E111111110", uint64(120))
	f.Add("1e-10000000", uint64(120))
	f.Fuzz(func(t *testing.T, text string, total uint64) {
		if got := threshold(text, total); strings.HasSuffix(text, "%") && got > total {
			t.Errorf("%q of %d is %d", text, total, got)
		}
	})
}
