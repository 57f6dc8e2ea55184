package eviction

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/resources"
)

// Config of a Manager.
type Config struct {
	Thresholds []Threshold
	MaxGrace   time.Duration // of a pod at a soft threshold
	Settle     time.Duration // how long a pressure is reported after it ended
	// Levels reads every signal there is.
	Levels func() map[Signal]Level
	// Candidates are the pods that run, with what they use.
	Candidates func(ctx context.Context) ([]Candidate, error)
	// Reclaim frees what nobody needs when a disk is short: unused images and ended containers.
	Reclaim func(ctx context.Context) error
	// End ends a pod for good.
	End func(uid types.UID, message string, grace time.Duration)
	// Exceeded tells which of its own storage limits a pod breaks; empty: none. nil: limits are not enforced.
	Exceeded func(ctx context.Context, pod *v1.Pod) string
	Pods     func() []*v1.Pod
}

// Manager watches the signals.
type Manager struct {
	Config
	tracker Tracker

	mu       sync.Mutex
	pressure map[v1.NodeConditionType]time.Time // when it was last there
}

// New returns a manager that has seen nothing yet.
func New(c Config) *Manager {
	return &Manager{Config: c, pressure: map[v1.NodeConditionType]time.Time{}}
}

// every is how often the signals are read: two small files and two calls of statfs.
const every = 10 * time.Second

// hardGrace is what a pod gets at a hard threshold.
const hardGrace = time.Second

// Run watches until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if err := m.Look(ctx, now); err != nil {
				klog.FromContext(ctx).Error(err, "A pressure cannot be relieved")
			}
		}
	}
}

// Look reads the signals and, if one is short, ends one pod: the next look tells whether that was enough.
func (m *Manager) Look(ctx context.Context, now time.Time) error {
	if m.Exceeded != nil {
		for _, p := range m.Pods() {
			if message := m.Exceeded(ctx, p); message != "" {
				m.End(p.UID, message, hardGrace)
			}
		}
	}
	levels := m.Levels()
	m.note(levels, now)
	crossed := m.tracker.Crossed(m.Thresholds, levels, now)
	if len(crossed) == 0 {
		return nil
	}
	t := crossed[0]
	for _, c := range crossed { // memory first: it runs out fastest
		if c.Signal == Memory && c.Soft == t.Soft {
			t = c
		}
	}
	klog.FromContext(ctx).Info("The node runs short, ending a pod", "signal", t.Signal, "available", levels[t.Signal].Available, "least", t.Least.Of(levels[t.Signal].Capacity))
	if t.Signal.Condition() == v1.NodeDiskPressure && m.Reclaim != nil {
		if err := m.Reclaim(ctx); err != nil {
			return err
		}
		if l := m.Levels()[t.Signal]; l.Available >= t.Least.Of(l.Capacity)+t.Reclaim.Of(l.Capacity) {
			return nil
		}
	}
	candidates, err := m.Candidates(ctx)
	if err != nil {
		return err
	}
	for _, c := range Rank(t.Signal.Resource(), candidates) {
		if Critical(c.Pod) {
			continue
		}
		grace := hardGrace
		if t.Soft {
			grace = min(m.MaxGrace, graceOf(c.Pod))
		}
		m.End(c.Pod.UID, message(t, levels[t.Signal], c), grace)
		return nil
	}
	return fmt.Errorf("%s is short, and no pod may be ended for it", t.Signal)
}

// note keeps the pressures that hard and soft thresholds tell of.
func (m *Manager) note(levels map[Signal]Level, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.Thresholds {
		if l, ok := levels[t.Signal]; ok && l.Available < t.Least.Of(l.Capacity) {
			m.pressure[t.Signal.Condition()] = now
		}
	}
	for kind, last := range m.pressure {
		if now.Sub(last) > m.Settle {
			delete(m.pressure, kind)
		}
	}
}

// Refuses tells why the node takes no such pod now; empty: it does.
func (m *Manager) Refuses(pod *v1.Pod) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.pressure) == 0 || Critical(pod) {
		return ""
	}
	if _, memory := m.pressure[v1.NodeMemoryPressure]; memory && len(m.pressure) == 1 {
		taint := v1.Taint{Key: v1.TaintNodeMemoryPressure, Effect: v1.TaintEffectNoSchedule}
		if resources.QOSClass(pod) != v1.PodQOSBestEffort || corev1.TolerationsTolerateTaint(klog.Background(), pod.Spec.Tolerations, &taint, false) {
			return ""
		}
	}
	var kinds []string
	for _, kind := range []v1.NodeConditionType{v1.NodeDiskPressure, v1.NodeMemoryPressure, v1.NodePIDPressure} {
		if _, ok := m.pressure[kind]; ok {
			kinds = append(kinds, string(kind))
		}
	}
	return fmt.Sprintf("The node had condition: [%s]. ", strings.Join(kinds, " "))
}

func graceOf(p *v1.Pod) time.Duration {
	if p.Spec.TerminationGracePeriodSeconds == nil {
		return 30 * time.Second
	}
	return time.Duration(*p.Spec.TerminationGracePeriodSeconds) * time.Second
}

func message(t Threshold, l Level, c Candidate) string {
	name := t.Signal.Resource()
	text := fmt.Sprintf("The node was low on resource: %s. Threshold quantity: %s, available: %s. ", name, quantity(t.Least.Of(l.Capacity)), quantity(l.Available))
	if used, requested := amounts(name, c); name == v1.ResourceMemory || name == v1.ResourceEphemeralStorage {
		text += fmt.Sprintf("The pod was using %s, request is %s. ", quantity(uint64(max(used, 0))), quantity(uint64(max(requested, 0)))) // not negative
	}
	return text
}

func quantity(n uint64) string {
	return resource.NewQuantity(int64(n), resource.BinarySI).String() // below 2^63
}
