package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/observed"
)

// sample is what the node's pods use at one moment, as far as the runtime says.
type sample struct {
	at   time.Time
	pods []podSample
}

type podSample struct {
	pod        *v1.Pod
	uid        string
	name       string
	namespace  string
	stats      *runtimeapi.LinuxPodSandboxStats // never nil
	containers []containerSample
}

type containerSample struct {
	name, id, image string
	started         time.Time
	spec            *v1.Container
	stats           *runtimeapi.ContainerStats
}

// take asks the runtime for the use of all pods, in a stable order.
func (s *Server) take(ctx context.Context) (sample, error) {
	list, err := s.Runtime.ListPodSandboxStats(ctx, &runtimeapi.PodSandboxStatsFilter{})
	if err != nil {
		return sample{}, fmt.Errorf("statistics of the container runtime: %w", err)
	}
	byUID := map[string]*v1.Pod{}
	for _, p := range s.Pods() {
		byUID[string(p.UID)] = p
	}
	out := sample{at: time.Now()}
	for _, st := range list {
		attributes := st.GetAttributes()
		p := podSample{uid: attributes.GetMetadata().GetUid(), name: attributes.GetMetadata().GetName(), namespace: attributes.GetMetadata().GetNamespace(), stats: st.GetLinux()}
		if p.stats == nil {
			p.stats = &runtimeapi.LinuxPodSandboxStats{}
		}
		p.pod = byUID[p.uid]
		for _, c := range p.stats.Containers {
			if c.GetCpu() == nil {
				continue // it has ended
			}
			p.containers = append(p.containers, newContainerSample(p.pod, c))
		}
		slices.SortFunc(p.containers, func(a, b containerSample) int { return strings.Compare(a.name, b.name) })
		out.pods = append(out.pods, p)
	}
	slices.SortFunc(out.pods, func(a, b podSample) int {
		return strings.Compare(a.namespace+"/"+a.name+"/"+a.uid, b.namespace+"/"+b.name+"/"+b.uid)
	})
	return out, nil
}

func newContainerSample(pod *v1.Pod, stats *runtimeapi.ContainerStats) containerSample {
	c := containerSample{name: stats.GetAttributes().GetLabels()[observed.LabelContainerName], id: stats.GetAttributes().GetId(), stats: stats}
	if c.name == "" {
		c.name = stats.GetAttributes().GetMetadata().GetName()
	}
	if pod == nil {
		return c
	}
	if st, ok := statusOf(pod, c.name); ok {
		c.image = st.Image
		if st.State.Running != nil {
			c.started = st.State.Running.StartedAt.Time
		}
	}
	for _, list := range [][]v1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == c.name {
				c.spec = &list[i]
			}
		}
	}
	return c
}

func value(v *runtimeapi.UInt64Value) (uint64, bool) {
	if v == nil {
		return 0, false
	}
	return v.Value, true
}

func pointer(v *runtimeapi.UInt64Value) *uint64 {
	if v == nil {
		return nil
	}
	return &v.Value
}

// usageTracker computes the processors in use from the processor time at two moments: runtimes leave that out of early
// answers.
type usageTracker struct {
	mu    sync.Mutex
	last  map[string]usagePoint
	disks map[string]diskUse // by path

	diskEvery time.Duration // how old a measure of disks may be
}

type usagePoint struct {
	at    time.Time
	total uint64 // nanoseconds of processor time
	rate  *uint64
}

// leastInterval between two points of a rate; closer ones would be noise.
const leastInterval = time.Second

func newUsageTracker() *usageTracker {
	return &usageTracker{last: map[string]usagePoint{}, disks: map[string]diskUse{}, diskEvery: defaultDiskEvery}
}

// rate gives nanocores since the last point, and the last rate while too little time has passed. given is what the
// runtime computed itself; nil: nothing.
func (t *usageTracker) rate(id string, at time.Time, total uint64, given *uint64) *uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.last[id]
	if known && at.Sub(last.at) < leastInterval {
		if last.rate != nil {
			return last.rate
		}
		return given
	}
	point := usagePoint{at: at, total: total, rate: given}
	if known && total >= last.total {
		r := uint64(float64(total-last.total) / at.Sub(last.at).Seconds())
		point.rate = &r
	}
	t.last[id] = point
	return point.rate
}

// keep forgets what is not in ids.
func (t *usageTracker) keep(ids map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.last {
		if !ids[id] {
			delete(t.last, id)
		}
	}
}
