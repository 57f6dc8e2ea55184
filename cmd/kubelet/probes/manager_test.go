package probes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
)

// fakeHealth answers exec probes: the command's first word names the probe, and its exit code is what the test sets.
type fakeHealth struct {
	mu    sync.Mutex
	exit  map[string]int
	err   error
	calls map[string][]time.Duration // since the start of the test
	began time.Time
}

func newHealth() *fakeHealth {
	return &fakeHealth{exit: map[string]int{}, calls: map[string][]time.Duration{}, began: time.Now()}
}

func (h *fakeHealth) set(name string, exit int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exit[name] = exit
}

func (h *fakeHealth) count(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls[name])
}

func (h *fakeHealth) exec(_ context.Context, _ string, cmd []string, _ time.Duration) ([]byte, int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls[cmd[0]] = append(h.calls[cmd[0]], time.Since(h.began))
	return []byte("output of " + cmd[0]), h.exit[cmd[0]], h.err
}

func command(name string) v1.ProbeHandler {
	return v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{name}}}
}

func podWith(c v1.Container) *v1.Pod {
	c.Name = "app"
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "u1"}, Spec: v1.PodSpec{Containers: []v1.Container{c}}}
}

func running(id string) []v1.ContainerStatus {
	return []v1.ContainerStatus{{Name: "app", ContainerID: id, State: v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: metav1.Now()}}}}
}

// story runs a manager over one pod in virtual time.
func story(t *testing.T, c v1.Container, tell func(m *Manager, h *fakeHealth, after func(time.Duration))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHealth()
		m := New(Config{Exec: h.exec, Recorder: record.NewFakeRecorder(1000)})
		m.AddPod(podWith(c))
		m.UpdateStatus("u1", running("containerd://one"), "10.0.0.1")
		tell(m, h, func(d time.Duration) { time.Sleep(d); synctest.Wait() })
		m.RemovePod("u1")
	})
}

func expectReady(t *testing.T, m *Manager, want bool, when string) {
	t.Helper()
	if ready, known := m.Ready("u1", "app"); ready != want || !known {
		t.Errorf("%s: ready = %v (known %v), want %v", when, ready, known, want)
	}
}

func TestReadinessFollowsItsThresholds(t *testing.T) {
	story(t, v1.Container{ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), InitialDelaySeconds: 5, PeriodSeconds: 2, SuccessThreshold: 2, FailureThreshold: 3, TimeoutSeconds: 1}},
		func(m *Manager, h *fakeHealth, after func(time.Duration)) {
			expectReady(t, m, false, "before the first probe")
			after(4 * time.Second)
			if h.count("r") != 0 {
				t.Error("probed within initialDelaySeconds")
			}
			after(2 * time.Second)
			expectReady(t, m, false, "after one success of two")
			after(2 * time.Second)
			expectReady(t, m, true, "after two successes")
			h.set("r", 1)
			after(4 * time.Second)
			expectReady(t, m, true, "after two failures of three")
			after(2 * time.Second)
			expectReady(t, m, false, "after three failures")
			h.set("r", 0)
			after(2 * time.Second)
			h.set("r", 1)
			after(2 * time.Second)
			h.set("r", 0)
			after(2 * time.Second)
			expectReady(t, m, false, "successes that do not follow each other do not add up")
		})
}

func TestLivenessFailsOnceThresholdIsReachedAndRestsUntilTheNextLife(t *testing.T) {
	story(t, v1.Container{LivenessProbe: &v1.Probe{ProbeHandler: command("l"), PeriodSeconds: 1, FailureThreshold: 3}},
		func(m *Manager, h *fakeHealth, after func(time.Duration)) {
			after(time.Second)
			h.set("l", 1)
			after(2 * time.Second)
			if _, bad := m.Unhealthy("u1", "app", "containerd://one"); bad {
				t.Error("unhealthy after two failures of three")
			}
			after(time.Second)
			reason, bad := m.Unhealthy("u1", "app", "one")
			if !bad || reason != "Container app failed liveness probe, will be restarted" {
				t.Errorf("after three failures: %q, %v", reason, bad)
			}
			calls := h.count("l")
			after(10 * time.Second)
			if h.count("l") != calls {
				t.Error("probed on although the container is to be restarted")
			}
			m.UpdateStatus("u1", running("containerd://two"), "10.0.0.1")
			if _, bad := m.Unhealthy("u1", "app", "containerd://two"); bad {
				t.Error("a new container inherits the old one's failure")
			}
			after(2 * time.Second)
			if _, bad := m.Unhealthy("u1", "app", "containerd://one"); bad {
				t.Error("a container that is gone is unhealthy")
			}
		})
}

func TestStartupHoldsTheOthersBack(t *testing.T) {
	story(t, v1.Container{
		StartupProbe:   &v1.Probe{ProbeHandler: command("s"), PeriodSeconds: 1, FailureThreshold: 10},
		LivenessProbe:  &v1.Probe{ProbeHandler: command("l"), PeriodSeconds: 1},
		ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), PeriodSeconds: 1},
	}, func(m *Manager, h *fakeHealth, after func(time.Duration)) {
		h.set("s", 1)
		after(5 * time.Second)
		if h.count("l")+h.count("r") != 0 || m.Started("u1", "app") {
			t.Error("liveness or readiness probed before the startup probe succeeded")
		}
		h.set("s", 0)
		after(time.Second)
		if !m.Started("u1", "app") {
			t.Error("not started after the startup probe succeeded")
		}
		expectReady(t, m, true, "at once after start")
		calls := h.count("s")
		after(5 * time.Second)
		if h.count("s") != calls {
			t.Error("the startup probe runs on after it succeeded")
		}
	})
}

func TestStartupFailureRestarts(t *testing.T) {
	story(t, v1.Container{StartupProbe: &v1.Probe{ProbeHandler: command("s"), PeriodSeconds: 1, FailureThreshold: 2}},
		func(m *Manager, h *fakeHealth, after func(time.Duration)) {
			h.set("s", 1)
			after(3 * time.Second)
			if reason, bad := m.Unhealthy("u1", "app", "one"); !bad || !strings.Contains(reason, "failed startup probe") {
				t.Errorf("got %q, %v", reason, bad)
			}
		})
}

func TestAttemptsThatCannotRunSayNothing(t *testing.T) {
	story(t, v1.Container{
		LivenessProbe:  &v1.Probe{ProbeHandler: command("l"), PeriodSeconds: 1, FailureThreshold: 1},
		ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), PeriodSeconds: 1, FailureThreshold: 1},
	}, func(m *Manager, h *fakeHealth, after func(time.Duration)) {
		after(time.Second)
		h.mu.Lock()
		h.err = errors.New("the runtime is away")
		h.mu.Unlock()
		after(10 * time.Second)
		if _, bad := m.Unhealthy("u1", "app", "one"); bad {
			t.Error("a container is restarted because the runtime is away")
		}
		expectReady(t, m, true, "while the runtime is away")
		h.mu.Lock()
		h.err = context.DeadlineExceeded
		h.mu.Unlock()
		after(2 * time.Second)
		if _, bad := m.Unhealthy("u1", "app", "one"); !bad {
			t.Error("a command that runs out of time is no failure")
		}
	})
}

func TestEndingPodIsProbedForReadinessOnly(t *testing.T) {
	c := v1.Container{
		LivenessProbe:  &v1.Probe{ProbeHandler: command("l"), PeriodSeconds: 1, FailureThreshold: 1},
		ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), PeriodSeconds: 1, FailureThreshold: 1},
	}
	story(t, c, func(m *Manager, h *fakeHealth, after func(time.Duration)) {
		after(time.Second)
		pod := podWith(c)
		now := metav1.Now()
		pod.DeletionTimestamp = &now
		m.AddPod(pod)
		h.set("l", 1)
		h.set("r", 1)
		after(3 * time.Second)
		if _, bad := m.Unhealthy("u1", "app", "one"); bad {
			t.Error("an ending pod's container is to be restarted")
		}
		expectReady(t, m, false, "readiness goes on")
	})
}

func TestRestartedKubeletKeepsReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth()
		m := New(Config{Exec: h.exec, Recorder: record.NewFakeRecorder(100)})
		started := true
		pod := podWith(v1.Container{
			StartupProbe:   &v1.Probe{ProbeHandler: command("s"), PeriodSeconds: 1},
			ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), PeriodSeconds: 10, InitialDelaySeconds: 5},
		})
		pod.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "app", ContainerID: "containerd://one", Ready: true, Started: &started}}
		m.AddPod(pod)
		m.UpdateStatus("u1", running("containerd://one"), "10.0.0.1")
		expectReady(t, m, true, "right after the kubelet's start")
		m.UpdateStatus("u1", running("containerd://two"), "10.0.0.1")
		expectReady(t, m, false, "a new container")
		m.RemovePod("u1")
	})
}

func TestRestartedKubeletKeepsStaticPodsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := running("containerd://one")
		time.Sleep(time.Minute)
		h := newHealth()
		m := New(Config{Exec: h.exec, Recorder: record.NewFakeRecorder(100)})
		pod := podWith(v1.Container{ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), PeriodSeconds: 1, FailureThreshold: 2}, StartupProbe: &v1.Probe{ProbeHandler: command("s"), PeriodSeconds: 1}})
		pod.Annotations = map[string]string{"kubernetes.io/config.source": "file"}
		h.set("r", 1)
		m.AddPod(pod)
		m.UpdateStatus("u1", began, "10.0.0.1")
		expectReady(t, m, true, "right after the kubelet's start")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expectReady(t, m, false, "after the probe's threshold")
		m.UpdateStatus("u1", running("containerd://two"), "10.0.0.1")
		expectReady(t, m, false, "a container that this kubelet started")
		m.RemovePod("u1")
	})
}

func TestChangesAreToldOnceAndStoppedContainersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth()
		var told atomic.Int32
		m := New(Config{Exec: h.exec, Recorder: record.NewFakeRecorder(100), OnChange: func(types.UID) { told.Add(1) }})
		m.AddPod(podWith(v1.Container{ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), PeriodSeconds: 1}}))
		if _, known := m.Ready("other", "app"); known {
			t.Error("an unknown pod is known")
		}
		m.UpdateStatus("u1", running("containerd://one"), "10.0.0.1")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if told.Load() != 2 { // it has started, and is ready
			t.Errorf("told %d times of two changes", told.Load())
		}
		m.UpdateStatus("u1", []v1.ContainerStatus{{Name: "app", ContainerID: "containerd://one", State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{}}}}, "10.0.0.1")
		expectReady(t, m, false, "an ended container")
		calls := h.count("r")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if h.count("r") != calls {
			t.Error("an ended container is probed")
		}
		m.RemovePod("u1")
	})
}

func TestAProbeThatCannotRunIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := record.NewFakeRecorder(100)
		m := New(Config{Recorder: recorder, Exec: func(context.Context, string, []string, time.Duration) ([]byte, int, error) {
			return nil, 0, errors.New("no runtime")
		}})
		m.AddPod(podWith(v1.Container{ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), PeriodSeconds: 10}}))
		m.UpdateStatus("u1", running("containerd://one"), "10.0.0.1")
		time.Sleep(time.Second)
		synctest.Wait()
		if got := <-recorder.Events; got != "Warning Unhealthy Readiness probe errored and resulted in unknown state: no runtime" {
			t.Errorf("event %q", got)
		}
		m.RemovePod("u1")
	})
}

func TestEventsAndMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth()
		recorder := record.NewFakeRecorder(100)
		registry := metrics.NewKubeRegistry()
		m := New(Config{Exec: h.exec, Recorder: recorder, Registry: registry})
		m.AddPod(podWith(v1.Container{ReadinessProbe: &v1.Probe{ProbeHandler: command("r"), PeriodSeconds: 10}}))
		h.set("r", 1)
		m.UpdateStatus("u1", running("containerd://one"), "10.0.0.1")
		time.Sleep(time.Second)
		synctest.Wait()
		if got := <-recorder.Events; got != "Warning Unhealthy Readiness probe failed: output of r" {
			t.Errorf("event %q", got)
		}
		want := `# HELP prober_probe_total [BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.
# TYPE prober_probe_total counter
prober_probe_total{container="app",namespace="default",pod="web",pod_uid="u1",probe_type="Readiness",result="failed"} 1
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "prober_probe_total"); err != nil {
			t.Error(err)
		}
		m.RemovePod("u1")
		if err := testutil.GatherAndCompare(registry, strings.NewReader(""), "prober_probe_total"); err != nil {
			t.Error(fmt.Errorf("after the pod is gone: %w", err))
		}
	})
}
