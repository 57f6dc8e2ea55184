package probes

import (
	"context"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
)

// Kind of a probe, as metrics and events spell it.
type Kind string

const (
	Startup   Kind = "Startup"
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
)

func (k Kind) lower() string { return strings.ToLower(string(k)) }

// of gives the container's probe of this kind, nil if it has none.
func (k Kind) of(c *v1.Container) *v1.Probe {
	switch k {
	case Startup:
		return c.StartupProbe
	case Liveness:
		return c.LivenessProbe
	}
	return c.ReadinessProbe
}

// outcome is a probe's result so far.
type outcome int

const (
	pending outcome = iota // no result that counts yet
	success
	failure
)

// instance is one run of a container: a new container ID is a new instance, with nothing known.
type instance struct {
	id      string // as in the status: containerd://…
	began   time.Time
	started chan struct{} // closed when the other probes may begin
	once    sync.Once
	stop    context.CancelFunc
	silence context.CancelFunc // ends liveness and startup probing

	mu      sync.Mutex
	results map[Kind]outcome
}

func (i *instance) result(k Kind) outcome {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.results[k]
}

// set stores a result and reports whether it is a new one.
func (i *instance) set(k Kind, o outcome) bool {
	i.mu.Lock()
	changed := i.results[k] != o
	i.results[k] = o
	i.mu.Unlock()
	if k == Startup && o == success {
		i.once.Do(func() { close(i.started) })
	}
	return changed
}

// begin starts the probes of a container that runs. The caller holds m.mu.
func (m *Manager) begin(p *podProbes, c *v1.Container, s v1.ContainerStatus) *instance {
	ctx, stop := context.WithCancel(context.Background())
	vital, silence := context.WithCancel(ctx)
	i := &instance{id: s.ContainerID, began: s.State.Running.StartedAt.Time, started: make(chan struct{}), stop: stop, silence: silence, results: map[Kind]outcome{}}
	if p.quiet {
		silence()
	}
	before, known := p.seeded[s.ContainerID]
	if !known && isStatic(p.pod) && i.began.Before(m.born) {
		// A static pod comes without a status; what an earlier kubelet ran is taken for healthy until probes say
		// otherwise, so that the control plane does not become unready by a kubelet's restart.
		before = seed{ready: true, started: true}
	}
	for _, k := range []Kind{Startup, Liveness, Readiness} {
		spec := k.of(c)
		known := spec == nil || k == Liveness || (k == Startup && before.started) || (k == Readiness && before.ready)
		if known {
			i.set(k, success)
		}
		if spec == nil || (k == Startup && known) {
			continue
		}
		own := ctx
		if k != Readiness {
			own = vital
		}
		w := &worker{manager: m, uid: p.pod.UID, container: c.DeepCopy(), spec: spec.DeepCopy(), kind: k, instance: i}
		go w.run(own)
	}
	return i
}

// isStatic reports whether the pod comes from a manifest rather than from the API.
func isStatic(pod *v1.Pod) bool {
	source, ok := pod.Annotations["kubernetes.io/config.source"]
	return ok && source != "api"
}

// bareID strips the runtime's name from a container ID.
func bareID(id string) string {
	if _, bare, ok := strings.Cut(id, "://"); ok {
		return bare
	}
	return id
}
