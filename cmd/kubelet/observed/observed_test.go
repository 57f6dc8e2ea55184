package observed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	critest "k8s.io/cri-api/pkg/apis/testing"
)

func labels(uid, container string) map[string]string {
	return map[string]string{LabelPodUID: uid, LabelPodName: "web", LabelPodNamespace: "shop", LabelContainerName: container}
}

func sandbox(uid string, attempt uint32, created int64, state runtimeapi.PodSandboxState) *critest.FakePodSandbox {
	m := &runtimeapi.PodSandboxMetadata{Name: "web", Namespace: "shop", Uid: uid, Attempt: attempt}
	return &critest.FakePodSandbox{PodSandboxStatus: runtimeapi.PodSandboxStatus{
		Id: critest.BuildSandboxName(m), Metadata: m, State: state, CreatedAt: created, Labels: labels(uid, ""),
		Network: &runtimeapi.PodSandboxNetworkStatus{Ip: "10.0.0.7", AdditionalIps: []*runtimeapi.PodIP{{Ip: "fd00::7"}}},
	}}
}

func container(uid, name string, attempt uint32, created int64, state runtimeapi.ContainerState) *critest.FakeContainer {
	m := &runtimeapi.ContainerMetadata{Name: name, Attempt: attempt}
	return &critest.FakeContainer{SandboxID: "s", ContainerStatus: runtimeapi.ContainerStatus{
		Id: critest.BuildContainerName(m, uid), Metadata: m, State: state, CreatedAt: created, Labels: labels(uid, name), Image: &runtimeapi.ImageSpec{Image: "sha256:1", UserSpecifiedImage: "web:1"},
		Annotations: map[string]string{AnnotationRestartCount: "3", AnnotationHash: "abc", AnnotationPodGrace: "12"},
	}}
}

func TestPodReadsWhatEarlierKubeletsLeft(t *testing.T) {
	f := critest.NewFakeRuntimeService()
	f.SetFakeSandboxes([]*critest.FakePodSandbox{
		sandbox("u1", 0, 1, runtimeapi.PodSandboxState_SANDBOX_NOTREADY), sandbox("u1", 1, 2, runtimeapi.PodSandboxState_SANDBOX_READY), sandbox("u2", 0, 3, runtimeapi.PodSandboxState_SANDBOX_READY),
	})
	f.SetFakeContainers([]*critest.FakeContainer{
		container("u1", "a", 0, 1, runtimeapi.ContainerState_CONTAINER_EXITED), container("u1", "a", 1, 5, runtimeapi.ContainerState_CONTAINER_RUNNING), container("u2", "b", 0, 1, runtimeapi.ContainerState_CONTAINER_RUNNING),
	})
	p, err := Runtime{Service: f}.Pod(t.Context(), "u1")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "web" || p.Namespace != "shop" || len(p.Sandboxes) != 2 || len(p.Containers) != 2 {
		t.Fatalf("pod %+v: want its own two sandboxes and two containers", p)
	}
	if s := p.Sandbox(); s.Attempt != 1 || !s.Ready || strings.Join(s.IPs, " ") != "10.0.0.7 fd00::7" {
		t.Errorf("sandbox %+v, want the newest", s)
	}
	c := p.Newest("a")
	if !c.Running() || c.Hash != "abc" || c.RestartCount != 3 || *c.PodGrace != 12 || c.Image != "web:1" {
		t.Errorf("container %+v: want the newest, with what its annotations tell", c)
	}
	if p.Newest("b") != nil || !p.AnyRunning() {
		t.Error("containers of other pods are none of its business")
	}
	uids, err := Runtime{Service: f}.UIDs(t.Context())
	if err != nil || len(uids) != 2 || uids["u2"].Name != "web" {
		t.Errorf("pods of the runtime %v, error %v; want both", uids, err)
	}
}

func TestNilPodIsEmpty(t *testing.T) {
	var p *Pod
	if p.Newest("a") != nil || p.Sandbox() != nil || p.AnyRunning() {
		t.Error("a pod that the runtime does not know has nothing")
	}
}

func TestWatchTellsWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := critest.NewFakeRuntimeService()
		running := container("u1", "a", 0, 1, runtimeapi.ContainerState_CONTAINER_RUNNING)
		f.SetFakeContainers([]*critest.FakeContainer{running, container("u2", "b", 0, 1, runtimeapi.ContainerState_CONTAINER_RUNNING)})
		changed, healthy := map[types.UID]int{}, 0
		go Runtime{Service: f}.Watch(t.Context(), func(uid types.UID) { changed[uid]++ }, func() { healthy++ })
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if changed["u1"] != 1 || changed["u2"] != 1 || healthy == 0 {
			t.Fatalf("told %v at the start, want both pods once", changed)
		}
		f.Lock()
		running.State = runtimeapi.ContainerState_CONTAINER_EXITED
		f.Unlock()
		time.Sleep(relistWithEvents + time.Second)
		synctest.Wait()
		if changed["u1"] != 2 || changed["u2"] != 1 {
			t.Errorf("told %v, want u1 again and u2 no more", changed)
		}
		f.SetFakeContainers(nil)
		time.Sleep(relistWithEvents + time.Second)
		synctest.Wait()
		if changed["u1"] != 3 || changed["u2"] != 2 {
			t.Errorf("told %v, want both that went", changed)
		}
	})
}

func TestTerminationMessage(t *testing.T) {
	dir := t.TempDir()
	file, log := filepath.Join(dir, "message"), filepath.Join(dir, "0.log")
	if err := os.WriteFile(log, []byte("2026-01-01T00:00:00Z stdout F first\n2026-01-01T00:00:01Z stderr F panic: last words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, written, policy string
		code                  int32
		want                  string
	}{
		{"the file", "done", "File", 0, "done"},
		{"a long file is cut", strings.Repeat("x", 5000), "File", 0, strings.Repeat("x", maxTerminationBytes)},
		{"nothing written", "", "File", 1, ""},
		{"the log of a failure", "", "FallbackToLogsOnError", 1, "first\npanic: last words\n"},
		{"success has no fallback", "", "FallbackToLogsOnError", 0, ""},
		{"the file comes first", "own words", "FallbackToLogsOnError", 1, "own words"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(tt.written), 0o600); err != nil {
				t.Fatal(err)
			}
			c := &Container{State: runtimeapi.ContainerState_CONTAINER_EXITED, TerminationPath: "/dev/termination-log", TerminationPolicy: tt.policy, ExitCode: tt.code, LogPath: log}
			got := terminationMessage(c, &runtimeapi.ContainerStatus{Mounts: []*runtimeapi.Mount{{ContainerPath: "/dev/termination-log", HostPath: file}}})
			if got != tt.want {
				t.Errorf("message %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLogEndIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(path, []byte(strings.Repeat("2026-01-01T00:00:00Z stdout F "+strings.Repeat("y", 100)+"\n", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(logEnd(path)); n == 0 || n > maxLogBytes {
		t.Errorf("the end of the log has %d bytes, want at most %d", n, maxLogBytes)
	}
	if got := logText(`{"log":"docker says\n","stream":"stdout"}`); got != "docker says" {
		t.Errorf("a JSON log gives %q", got)
	}
}

func TestHashChangesWithImageAlone(t *testing.T) {
	a := v1.Container{Name: "a", Image: "i:1"}
	b := a
	b.Env, b.Resources.Limits = []v1.EnvVar{{Name: "X"}}, v1.ResourceList{}
	if ContainerHash(&a) != ContainerHash(&b) {
		t.Error("a container must not restart for what it cannot take over or need not")
	}
	b.Image = "i:2"
	if ContainerHash(&a) == ContainerHash(&b) {
		t.Error("another image is another container")
	}
}

func TestLogPaths(t *testing.T) {
	if got := PodLogDir("ns", "web", "u"); got != "/var/log/pods/ns_web_u" {
		t.Errorf("pod logs in %s", got)
	}
	if got := ContainerLog("a", 4); got != "a/4.log" {
		t.Errorf("container log %s", got)
	}
}
