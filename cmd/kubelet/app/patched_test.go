package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/observed"
)

func manifestPod(uid string) *v1.Pod {
	return apiPod("web", func(p *v1.Pod) {
		p.Annotations = map[string]string{desired.AnnotationSource: desired.File, desired.AnnotationHash: uid}
	})
}

func TestAChangedManifestReplacesWhatAnEarlierKubeletStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, changed := manifestPod("old"), manifestPod("new")
		old.UID, changed.UID = "old-uid", "new-uid"
		n := newWorld(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		n.begin(ctx)
		n.Desired.Replace(desired.File, []*v1.Pod{old})
		settle()
		cancel()
		synctest.Wait()

		again := newWorld(t, nil)
		again.Kubelet.Runtime, again.runtime, again.Actor.Runtime = observed.Runtime{Service: n.runtime}, n.runtime, n.runtime
		ctx, cancel = context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		again.begin(ctx)
		again.Desired.Replace(desired.File, []*v1.Pod{changed}) // the API has not told its pods: it may be this very pod
		settle()
		if running, _ := again.containers("old"); running != 0 {
			t.Error("the container of the old manifest still runs")
		}
		if running, _ := again.containers("new"); running != 1 {
			t.Error("the container of the new manifest does not run")
		}
	})
}

func TestEvict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newWorld(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n.begin(ctx)
		n.Desired.Replace(desired.API, []*v1.Pod{apiPod("web", nil)})
		settle()
		n.Evict("web-uid", "The node was low on resource: memory. ", time.Second)
		settle()
		s, _ := n.Status.Get("web-uid")
		if running, _ := n.containers("web"); running != 0 || s.Phase != v1.PodFailed || s.Reason != "Evicted" {
			t.Errorf("%d containers run, phase %s, reason %s", running, s.Phase, s.Reason)
		}
	})
}

func TestWhatIsOutdated(t *testing.T) {
	a := newWorld(t, nil).Actor
	limited := apiPod("web", func(p *v1.Pod) {
		p.Spec.Containers[0].Resources.Limits = v1.ResourceList{v1.ResourceMemory: resource.MustParse("64Mi")}
	})
	shares := a.Resources(limited, &limited.Spec.Containers[0]).CpuShares
	for _, tt := range []struct {
		name   string
		pod    *v1.Pod
		actual *runtimeapi.LinuxContainerResources
		memory bool
	}{
		{"nothing is told", limited, &runtimeapi.LinuxContainerResources{}, false},
		{"a first limit", limited, &runtimeapi.LinuxContainerResources{CpuShares: shares}, true},
		{"another limit", limited, &runtimeapi.LinuxContainerResources{CpuShares: shares, MemoryLimitInBytes: 1 << 20}, true},
		{"the same limit", limited, &runtimeapi.LinuxContainerResources{CpuShares: shares, MemoryLimitInBytes: 64 << 20}, false},
		{"no limit", apiPod("web", nil), &runtimeapi.LinuxContainerResources{CpuShares: shares}, false},
	} {
		cpu, memory := outdated(a, tt.pod)(&tt.pod.Spec.Containers[0], &observed.Container{Resources: &runtimeapi.ContainerResources{Linux: tt.actual}})
		if cpu || memory != tt.memory {
			t.Errorf("%s: CPU %v, memory %v, want memory %v", tt.name, cpu, memory, tt.memory)
		}
	}
}

func TestAResizeWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cpu := func(q string) func(*v1.Pod) {
			return func(p *v1.Pod) {
				p.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse(q)}
			}
		}
		n := newWorld(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n.begin(ctx)
		web, other := apiPod("web", cpu("1")), apiPod("other", cpu("1"))
		n.Desired.Replace(desired.API, []*v1.Pod{web, other})
		settle()
		pending := func() string {
			s, _ := n.Status.Get("web-uid")
			for _, c := range s.Conditions {
				if c.Type == v1.PodResizePending {
					return c.Reason
				}
			}
			return ""
		}
		for _, tt := range []struct{ cpu, want string }{{"3", v1.PodReasonInfeasible}, {"1500m", v1.PodReasonDeferred}} {
			n.Desired.Update(desired.API, apiPod("web", cpu(tt.cpu)))
			settle()
			if got := pending(); got != tt.want {
				t.Errorf("a resize to %s CPUs of 2, one taken, is %q, want %q", tt.cpu, got, tt.want)
			}
		}
		n.Desired.Remove(desired.API, other)
		settle()
		if got := pending(); got != "" {
			t.Errorf("there is room, and the resize is %q", got)
		}
		a, _ := n.Allocations.Get("web-uid")
		if got := a["a"].Requests[v1.ResourceCPU]; got.Cmp(resource.MustParse("1500m")) != 0 {
			t.Errorf("allocated %v", got.String())
		}
	})
}
