package app

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	critest "k8s.io/cri-api/pkg/apis/testing"

	"pilotis.dev/cmd/kubelet/desired"
)

// slow is a runtime whose containers end by SIGKILL only, but for those named.
type slow struct {
	*critest.FakeRuntimeService
	quick string
}

func (s slow) StopContainer(ctx context.Context, id string, grace int64) error {
	s.Lock()
	quick := s.Containers[id].Metadata.Name == s.quick
	s.Unlock()
	if !quick {
		select {
		case <-time.After(time.Duration(grace) * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.FakeRuntimeService.StopContainer(ctx, id, grace)
}

// moody probes say what they are told to.
type moody struct {
	healthy
	unready *atomic.Bool
}

func (m moody) Ready(types.UID, string) (bool, bool) { return !m.unready.Load(), true }

// ending is a kubelet with the pod web, of the containers a and b, that runs; b ends as soon as it is told to.
func ending(ctx context.Context, t *testing.T) (*world, *v1.Pod, *atomic.Bool) {
	p := apiPod("web", func(p *v1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, v1.Container{Name: "b", Image: "web:1", ImagePullPolicy: v1.PullIfNotPresent})
	})
	n := newWorld(t, nil)
	unready := &atomic.Bool{}
	n.Probes, n.Actor.Runtime = moody{unready: unready}, slow{n.runtime, "b"}
	n.begin(ctx)
	n.Desired.Replace(desired.API, []*v1.Pod{p})
	settle()
	return n, p, unready
}

func deleted(p *v1.Pod, grace int64) *v1.Pod {
	gone, now := p.DeepCopy(), metav1.Now()
	gone.DeletionTimestamp, gone.DeletionGracePeriodSeconds = &now, &grace
	return gone
}

func TestAPodThatEndsTellsItsStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n, p, unready := ending(ctx, t)
		n.Desired.Update(desired.API, deleted(p, 600))
		settle()
		if s, _ := n.Status.Get(p.UID); !s.ContainerStatuses[0].Ready || s.ContainerStatuses[1].State.Terminated == nil || s.Phase != v1.PodRunning {
			t.Errorf("a serves still and b has ended, the status has %+v", s)
		}
		unready.Store(true)
		n.Wake(p.UID)
		synctest.Wait()
		if s, _ := n.Status.Get(p.UID); s.ContainerStatuses[0].Ready || s.ContainerStatuses[0].State.Running == nil {
			t.Errorf("a runs and serves no more, the status has %+v", s.ContainerStatuses[0])
		}
	})
}

func TestAPodThatVanishesWhileItEndsIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n, p, _ := ending(ctx, t)
		gone := deleted(p, 90)
		n.Desired.Update(desired.API, gone)
		settle()
		n.Desired.Remove(desired.API, gone)
		synctest.Wait()
		if running, _ := n.containers("web"); running != 1 {
			t.Errorf("%d containers run, want that with grace left", running)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(n.runtime.Sandboxes) != 0 || len(n.runtime.Containers) != 0 {
			t.Errorf("%d sandboxes and %d containers are left", len(n.runtime.Sandboxes), len(n.runtime.Containers))
		}
	})
}

func TestLessGraceShortensAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n, p, _ := ending(ctx, t)
		n.Desired.Update(desired.API, deleted(p, 600))
		settle()
		n.Desired.Update(desired.API, deleted(p, 5))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if running, _ := n.containers("web"); running != 0 {
			t.Error("the pod still has the grace of its first deletion")
		}
	})
}

func TestAnEvictionShortensAnEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(*world, *v1.Pod)
	}{
		{"of a pod that is deleted", func(n *world, p *v1.Pod) { n.Desired.Update(desired.API, deleted(p, 600)) }},
		{"of a pod that is evicted with more grace", func(n *world, p *v1.Pod) { n.Evict(p.UID, "The node is a little short. ", 600*time.Second) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer func() { cancel(); synctest.Wait() }()
				n, p, _ := ending(ctx, t)
				tt.before(n, p)
				settle()
				n.Evict(p.UID, "The node was low on resource: memory. ", time.Second)
				time.Sleep(3 * time.Second) // that and the least that every container has
				synctest.Wait()
				if running, _ := n.containers("web"); running != 0 {
					t.Errorf("%d containers run", running)
				}
			})
		})
	}
}

func TestAnEvictionGivesNoMoreGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n, p, _ := ending(ctx, t)
		n.Desired.Update(desired.API, deleted(p, 10))
		synctest.Wait()
		n.Evict(p.UID, "The node is a little short. ", 600*time.Second)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if running, _ := n.containers("web"); running != 0 {
			t.Error("the pod has the grace of its eviction")
		}
	})
}
