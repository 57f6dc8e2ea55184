package probes

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/metrics"
)

// Config of a Manager.
type Config struct {
	// Exec runs a command in a container and gives its output and exit code; err: it could not be run. A command that
	// ran out of time gives context.DeadlineExceeded or the runtime's DeadlineExceeded.
	Exec     func(ctx context.Context, containerID string, cmd []string, timeout time.Duration) (out []byte, exit int, err error)
	Recorder record.EventRecorder
	// OnChange is called, from any goroutine, when a result of the pod changed.
	OnChange func(podUID types.UID)
	// Registry is what /metrics/probes shows; nil: the series are kept nowhere.
	Registry metrics.KubeRegistry
}

// Manager probes the containers of the pods it was given.
type Manager struct {
	Config
	prober *prober
	born   time.Time

	mu   sync.Mutex
	pods map[types.UID]*podProbes
}

// New returns a manager without pods.
func New(c Config) *Manager {
	return &Manager{Config: c, born: time.Now(), prober: &prober{exec: c.Exec, recorder: c.Recorder, metrics: newMetrics(c.Registry)}, pods: map[types.UID]*podProbes{}}
}

// podProbes is what the manager knows of one pod.
type podProbes struct {
	pod        *v1.Pod
	ip         string
	containers map[string]*instance // by name
	// seeded are the containers that were ready or started, by the API's status, when the pod was added: a kubelet
	// that starts anew takes that over instead of making pods unready for a moment.
	seeded map[string]seed
	// quiet: the pod ends, only readiness is still probed.
	quiet bool
}

type seed struct{ ready, started bool }

// AddPod takes a pod over, or its changed version. Probing begins when UpdateStatus says that a container runs. A pod
// with a deletion time is only probed for readiness.
func (m *Manager) AddPod(pod *v1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pods[pod.UID]
	if p == nil {
		p = &podProbes{containers: map[string]*instance{}, seeded: map[string]seed{}}
		for _, list := range [][]v1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for _, s := range list {
				if s.ContainerID != "" {
					p.seeded[s.ContainerID] = seed{ready: s.Ready, started: s.Started != nil && *s.Started}
				}
			}
		}
		m.pods[pod.UID] = p
	}
	p.pod = pod
	if pod.DeletionTimestamp != nil {
		p.silence()
	}
}

// StopLiveness ends liveness and startup probing of a pod that is being ended, so that a slow exit is not taken for
// bad health.
func (m *Manager) StopLiveness(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.pods[uid]; p != nil {
		p.silence()
	}
}

func (p *podProbes) silence() {
	p.quiet = true
	for _, i := range p.containers {
		i.silence()
	}
}

// RemovePod ends all probing of the pod.
func (m *Manager) RemovePod(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pods[uid]
	if p == nil {
		return
	}
	for _, i := range p.containers {
		i.stop()
	}
	delete(m.pods, uid)
	m.prober.metrics.forget(p.pod)
}

// UpdateStatus says which containers run: statuses are those of all containers, init containers included. OnChange
// follows when a container has just become ready or started because it has no probe that says otherwise.
func (m *Manager) UpdateStatus(uid types.UID, statuses []v1.ContainerStatus, podIP string) {
	if m.Observe(uid, statuses, podIP) && m.OnChange != nil {
		m.OnChange(uid)
	}
}

// Observe is UpdateStatus for a caller that asks Ready and Started again by itself when it reports that their answers
// may have changed.
func (m *Manager) Observe(uid types.UID, statuses []v1.ContainerStatus, podIP string) (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pods[uid]
	if p == nil {
		return false
	}
	p.ip = podIP
	for _, s := range statuses {
		current := p.containers[s.Name]
		running := s.State.Running != nil && s.ContainerID != ""
		switch {
		case !running:
			if current != nil && (s.ContainerID == "" || s.ContainerID == current.id) {
				current.stop()
				delete(p.containers, s.Name)
			}
		case current == nil || current.id != s.ContainerID:
			if current != nil {
				current.stop()
			}
			if c := containerOf(p.pod, s.Name); c != nil {
				begun := m.begin(p, c, s)
				p.containers[s.Name] = begun
				changed = changed || begun.result(Startup) == success
			}
		}
	}
	return changed
}

// containerOf finds a container that may have probes: a regular one or a sidecar.
func containerOf(pod *v1.Pod, name string) *v1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i]
		}
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return &pod.Spec.InitContainers[i]
		}
	}
	return nil
}

func (m *Manager) find(uid types.UID, container string) (*podProbes, *instance) {
	p := m.pods[uid]
	if p == nil {
		return nil, nil
	}
	return p, p.containers[container]
}

// Ready reports whether the container runs and its readiness probe, if it has one, has succeeded. known is false for
// a pod the manager was not given.
func (m *Manager) Ready(uid types.UID, container string) (ready, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, i := m.find(uid, container)
	if p == nil {
		return false, false
	}
	if i == nil {
		return false, true
	}
	return i.result(Startup) == success && i.result(Readiness) == success, true
}

// Started reports whether the container runs and its startup probe, if it has one, has succeeded.
func (m *Manager) Started(uid types.UID, container string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, i := m.find(uid, container)
	return i != nil && i.result(Startup) == success
}

// Unhealthy reports that the liveness or startup probe of the container has failed for good, and in the words of the
// Killing event why it is ended.
func (m *Manager) Unhealthy(uid types.UID, container, containerID string) (reason string, unhealthy bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, i := m.find(uid, container)
	if i == nil || p.quiet || (i.id != containerID && bareID(i.id) != containerID) {
		return "", false
	}
	for _, k := range []Kind{Startup, Liveness} {
		if i.result(k) == failure {
			return fmt.Sprintf("Container %s failed %s probe, will be restarted", container, k.lower()), true
		}
	}
	return "", false
}

// target gives a worker what it needs of the pod at this moment.
func (m *Manager) target(uid types.UID) (pod *v1.Pod, ip string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pods[uid]
	if p == nil {
		return nil, "", false
	}
	return p.pod, p.ip, true
}
