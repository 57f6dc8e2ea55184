package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	critest "k8s.io/cri-api/pkg/apis/testing"

	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/images"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
	"pilotis.dev/cmd/kubelet/resources"
	"pilotis.dev/cmd/kubelet/status"
)

type noVolumes struct{ torn []types.UID }

func (*noVolumes) Setup(context.Context, *v1.Pod) (map[string]act.Volume, error) { return nil, nil }
func (n *noVolumes) Teardown(_ context.Context, uid types.UID) error {
	n.torn = append(n.torn, uid)
	return nil
}

type healthy struct{}

func (healthy) AddPod(*v1.Pod)                                       {}
func (healthy) Observe(types.UID, []v1.ContainerStatus, string) bool { return false }
func (healthy) StopLiveness(types.UID)                               {}
func (healthy) RemovePod(types.UID)                                  {}
func (healthy) Ready(types.UID, string) (bool, bool)                 { return true, true }
func (healthy) Started(types.UID, string) bool                       { return true }
func (healthy) Unhealthy(types.UID, string, string) (string, bool)   { return "", false }

type noObjects struct{}

func (noObjects) Use(*v1.Pod)       {}
func (noObjects) Release(types.UID) {}

// world is a kubelet with a fake runtime. Its world ends with the test.
type world struct {
	*Kubelet
	runtime *critest.FakeRuntimeService
}

func newWorld(t *testing.T, client *fake.Clientset) *world {
	t.Helper()
	f, im, r := critest.NewFakeRuntimeService(), critest.NewFakeImageService(), record.NewFakeRecorder(1000)
	im.SetFakeImages([]string{"web:1", "web:2"})
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k := &Kubelet{
		Node: "n", RootDir: t.TempDir(), Recorder: r, Desired: desired.NewSet(desired.API), Runtime: observed.Runtime{Service: f}, Status: &status.Writer{},
		Volumes: &noVolumes{}, Probes: healthy{}, Objects: noObjects{}, Backoff: plan.NewBackoff(5 * time.Minute), MaxPods: 3,
		Images:  &images.Manager{Service: im, Recorder: r},
		HostIPs: func() []string { return []string{"192.0.2.1"} },
		NodeObject: func() *v1.Node {
			return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "node-uid", Labels: map[string]string{"disk": "ssd"}}}
		},
		Allocatable: func() v1.ResourceList { return v1.ResourceList{v1.ResourceCPU: resource.MustParse("2")} },
		Cgroups:     resources.Cgroups{},
	}
	if client != nil {
		k.Client, k.Status.Client = client, client
	}
	k.Status.Target = k.StatusTarget
	config := act.Config{Runtime: f, Images: k.Images, Recorder: r, RootDir: k.RootDir, ResolvConf: resolv, CgroupParent: k.Cgroups.Parent, Allocatable: k.Allocatable}
	n := &world{Kubelet: k, runtime: f}
	n.complete(t, &config)
	k.Actor = act.New(config)
	return n
}

// begin starts the kubelet; ctx ends it.
func (n *world) begin(ctx context.Context) {
	n.Begin(ctx)
	go n.Run(ctx)
}

func apiPod(name string, change func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "pilotis-test", Name: name, UID: types.UID(name + "-uid")}, Spec: v1.PodSpec{
		NodeName: "n", RestartPolicy: v1.RestartPolicyAlways, Containers: []v1.Container{{Name: "a", Image: "web:1", ImagePullPolicy: v1.PullIfNotPresent}}}}
	if change != nil {
		change(p)
	}
	return p
}

// settle lets everything that is due happen: the fake runtime sends no events, so the relist must come by.
func settle() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (n *world) phase(name string) v1.PodPhase {
	s, _ := n.Status.Get(types.UID(name + "-uid"))
	return s.Phase
}

// containers gives the states of a pod's containers, newest attempt last.
func (n *world) containers(name string) (running, ended int) {
	o, err := n.Kubelet.Runtime.Pod(context.Background(), types.UID(name+"-uid"))
	if err != nil {
		return 0, 0
	}
	for _, c := range o.Containers {
		if c.Running() {
			running++
		} else if c.Exited() {
			ended++
		}
	}
	return running, ended
}

func (n *world) exit(name string, code int32) {
	n.runtime.Lock()
	defer n.runtime.Unlock()
	for _, c := range n.runtime.Containers {
		if c.Labels[observed.LabelPodName] == name && c.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			c.State, c.ExitCode, c.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, code, time.Now().UnixNano()
		}
	}
}

func TestAPodRunsIsRestartedAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := apiPod("web", nil)
		client := fake.NewClientset(p)
		n := newWorld(t, client)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n.begin(ctx)
		n.Desired.Replace(desired.API, []*v1.Pod{p})
		settle()
		if running, _ := n.containers("web"); running != 1 || n.phase("web") != v1.PodRunning {
			t.Fatalf("%d containers run, phase %s", running, n.phase("web"))
		}
		if got, _ := client.CoreV1().Pods(p.Namespace).Get(ctx, "web", metav1.GetOptions{}); got.Status.Phase != v1.PodRunning || len(got.Status.ContainerStatuses) != 1 {
			t.Errorf("the API has %+v", got.Status)
		}
		n.exit("web", 1)
		settle()
		if s, _ := n.Status.Get("web-uid"); s.ContainerStatuses[0].RestartCount != 1 || s.ContainerStatuses[0].State.Running == nil {
			t.Errorf("after an exit: %+v", s.ContainerStatuses[0])
		}
		gone := p.DeepCopy()
		now, grace := metav1.Now(), int64(5)
		gone.DeletionTimestamp, gone.DeletionGracePeriodSeconds, gone.Finalizers = &now, &grace, []string{"x/y"}
		if err := client.Tracker().Update(v1.SchemeGroupVersion.WithResource("pods"), gone, gone.Namespace); err != nil {
			t.Fatal(err)
		}
		n.Desired.Update(desired.API, gone)
		settle()
		if running, _ := n.containers("web"); running != 0 {
			t.Errorf("%d containers run after the deletion", running)
		}
		deleted := false
		for _, a := range client.Actions() {
			deleted = deleted || a.GetVerb() == "delete"
		}
		if !deleted {
			t.Error("the API's pod is not released")
		}
		n.Desired.Remove(desired.API, gone)
		settle()
		if len(n.runtime.Sandboxes) != 0 || len(n.runtime.Containers) != 0 {
			t.Errorf("%d sandboxes and %d containers are left", len(n.runtime.Sandboxes), len(n.runtime.Containers))
		}
	})
}

func TestAKubeletThatStartsAnewRestartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := apiPod("web", nil)
		n := newWorld(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		n.begin(ctx)
		n.Desired.Replace(desired.API, []*v1.Pod{p})
		settle()
		cancel()
		synctest.Wait()
		calls := len(n.runtime.Called)

		again := newWorld(t, nil)
		again.Kubelet.Runtime = observed.Runtime{Service: n.runtime}
		again.runtime = n.runtime
		again.Kubelet.Actor.Runtime = n.runtime
		again.Kubelet.RootDir = n.RootDir
		ctx, cancel = context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		again.begin(ctx)
		settle() // the source has not told its pods yet: nothing may be ended
		if running, _ := again.containers("web"); running != 1 {
			t.Fatal("a container was ended before the API told its pods")
		}
		again.Desired.Replace(desired.API, []*v1.Pod{p})
		settle()
		for _, c := range n.runtime.GetCalls()[calls:] {
			if strings.HasPrefix(c, "Create") || strings.HasPrefix(c, "Start") || strings.HasPrefix(c, "Stop") || strings.HasPrefix(c, "Run") || strings.HasPrefix(c, "Remove") {
				t.Errorf("the new kubelet called %s", c)
			}
		}
		if again.phase("web") != v1.PodRunning {
			t.Errorf("phase %s", again.phase("web"))
		}
		// The pod was deleted meanwhile: now it ends.
		again.Desired.Replace(desired.API, nil)
		settle()
		if running, _ := again.containers("web"); running != 0 {
			t.Error("a pod that nobody wants still runs")
		}
	})
}

func TestAFinishedPodStaysForItsLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newWorld(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n.begin(ctx)
		n.Desired.Replace(desired.API, []*v1.Pod{apiPod("job", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })})
		settle()
		n.exit("job", 0)
		settle()
		if running, ended := n.containers("job"); running != 0 || ended != 1 || n.phase("job") != v1.PodSucceeded {
			t.Errorf("%d run, %d ended, phase %s; want the ended one kept", running, ended, n.phase("job"))
		}
		if v := n.Volumes.(*noVolumes); len(v.torn) == 0 {
			t.Error("its volumes stay")
		}
	})
}

func TestRefuse(t *testing.T) {
	cpu := func(q string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse(q)}
		}
	}
	gpu := func(p *v1.Pod) {
		p.Spec.Containers[0].Resources.Requests = v1.ResourceList{"example.com/gpu": resource.MustParse("1")}
	}
	for _, tt := range []struct {
		name   string
		pod    *v1.Pod
		change func(*world)
		want   string
	}{
		{"fits", apiPod("a", cpu("1")), nil, ""},
		{"too much", apiPod("a", cpu("3")), nil, "OutOfcpu"},
		{"a resource that the node has not heard of yet", apiPod("a", gpu), nil, ""},
		{"a device that is gone", apiPod("a", gpu), func(n *world) {
			n.Allocatable = func() v1.ResourceList { return v1.ResourceList{"example.com/gpu": resource.MustParse("0")} }
		}, "OutOfexample.com/gpu"},
		{"another node is wanted", apiPod("a", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "hdd"} }), nil, "NodeAffinity"},
		{"this node is wanted", apiPod("a", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }), nil, ""},
		{"another system", apiPod("a", func(p *v1.Pod) { p.Spec.OS = &v1.PodOS{Name: v1.Windows} }), nil, "PodOSNotSupported"},
		{"tainted", apiPod("a", nil), tainted, "TaintToleration"},
		{"tainted and tolerated", apiPod("a", func(p *v1.Pod) { p.Spec.Tolerations = []v1.Toleration{{Operator: v1.TolerationOpExists}} }), tainted, ""},
		{"static pods always fit", apiPod("a", func(p *v1.Pod) {
			cpu("3")(p)
			p.Annotations = map[string]string{desired.AnnotationSource: desired.File}
		}), tainted, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newWorld(t, nil)
			listenNone(n.Desired)
			n.Begin(t.Context())
			if tt.change != nil {
				tt.change(n)
			}
			got := ""
			if r := n.refuse(tt.pod); r != nil {
				got = r.Reason
			}
			if got != tt.want {
				t.Errorf("reason %q, want %q", got, tt.want)
			}
		})
	}
}

func tainted(n *world) {
	n.NodeObject = func() *v1.Node {
		return &v1.Node{Spec: v1.NodeSpec{Taints: []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoExecute}}}}
	}
}

func TestAFullNodeRefusesAndStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newWorld(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n.begin(ctx)
		var pods []*v1.Pod
		for _, name := range []string{"p1", "p2", "p3", "p4", "p5"} {
			pods = append(pods, apiPod(name, nil))
		}
		n.Desired.Replace(desired.API, pods)
		settle()
		running, failed := 0, 0
		for _, p := range pods {
			switch s, _ := n.Status.Get(p.UID); {
			case s.Phase == v1.PodRunning:
				running++
			case s.Phase == v1.PodFailed && s.Reason == "OutOfpods":
				failed++
			}
		}
		if running != 3 || failed != 2 {
			t.Errorf("%d run and %d are refused, want 3 and 2: maxPods is 3", running, failed)
		}
	})
}

func TestStaticPodHasAMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		n := newWorld(t, client)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n.begin(ctx)
		static := apiPod("web", func(p *v1.Pod) {
			p.Annotations = map[string]string{desired.AnnotationSource: desired.File, desired.AnnotationHash: "h1"}
		})
		n.Desired.Replace(desired.File, []*v1.Pod{static})
		n.Desired.Ready(desired.API)
		settle()
		mirror, err := client.CoreV1().Pods(static.Namespace).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if mirror.Annotations[desired.AnnotationMirror] != "h1" || len(mirror.OwnerReferences) != 1 || mirror.OwnerReferences[0].UID != "node-uid" {
			t.Errorf("mirror %+v", mirror.ObjectMeta)
		}
		mirror.UID = "mirror-uid"
		if err := client.Tracker().Update(v1.SchemeGroupVersion.WithResource("pods"), mirror, mirror.Namespace); err != nil {
			t.Fatal(err)
		}
		n.Desired.Update(desired.API, mirror)
		settle()
		if got, _ := client.CoreV1().Pods(static.Namespace).Get(ctx, "web", metav1.GetOptions{}); got.Status.Phase != v1.PodRunning {
			t.Errorf("the mirror's phase is %q", got.Status.Phase)
		}
		n.Desired.Replace(desired.File, nil)
		settle()
		if _, err := client.CoreV1().Pods(static.Namespace).Get(ctx, "web", metav1.GetOptions{}); err == nil {
			t.Error("the mirror of a static pod that is gone stays")
		}
		if running, _ := n.containers("web"); running != 0 {
			t.Error("the static pod runs without its manifest")
		}
	})
}

func TestRotatedLogsAreCompressedAndCounted(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "0.log")
	n := newWorld(t, nil)
	n.runtime.Containers["c"] = &critest.FakeContainer{ContainerStatus: runtimeapi.ContainerStatus{Id: "c", LogPath: path}}
	for i, old := range []string{"20260101-000001.gz", "20260101-000002.gz", "20260101-000003"} {
		if err := os.WriteFile(path+"."+old, []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte("a long line"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.rotate(t.Context(), "c", 100, 3); err != nil {
		t.Fatal(err)
	}
	if len(oldLogs(path)) != 3 {
		t.Error("a short log was rotated")
	}
	if err := n.rotate(t.Context(), "c", 5, 3); err != nil {
		t.Fatal(err)
	}
	old := oldLogs(path)
	if len(old) != 2 || !strings.HasSuffix(old[0], "20260101-000003.gz") || strings.HasSuffix(old[1], ".gz") {
		t.Errorf("old logs %v: want the newest one compressed and the one just rotated", old)
	}
}

// TestBrokenOffCompressionLosesNothing: the log stays when its compressed copy could not be finished.
func TestBrokenOffCompressionLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log.20260101-000000")
	if err := os.Mkdir(path, 0o755); err != nil { // reading a folder fails in the middle
		t.Fatal(err)
	}
	if err := compress(path); err == nil {
		t.Error("the failure is not told")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the log is gone: %v", err)
	}
	left, err := filepath.Glob(path + ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
