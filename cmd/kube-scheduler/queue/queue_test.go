package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

func newQueue() *Queue {
	return New(Config{InitialBackoff: time.Second, MaxBackoff: 10 * time.Second, MaxUnschedulable: 5 * time.Minute, Clock: clock.RealClock{}, Gate: plugins.SchedulingGates{}.PreEnqueue,
		Wakes: func(e plugins.Event, _ *snapshot.Pod, refused map[string]bool) bool {
			return refused["fit"] && e.Is(framework.Node, framework.Add)
		}})
}

func pod(name string, priority int32) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: v1.PodSpec{Priority: ptr.To(priority)}}
}

func pop(q *Queue, patience time.Duration) *Item {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return q.Pop(ctx)
}

func TestImportantPodsComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add(pod("low", 1))
		q.Add(pod("high", 9))
		if first := pop(q, time.Second); first.Pod.Name != "high" {
			t.Errorf("%s came first", first.Pod.Name)
		}
	})
}

func TestRefusedPodWaitsForAnEventThatHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add(pod("p", 0))
		item := pop(q, time.Second)
		q.Failed(item, map[string]bool{"fit": true})
		if pop(q, time.Minute) != nil {
			t.Fatal("it came back although nothing happened")
		}
		q.Happened(plugins.Event{Resource: framework.AssignedPod, Action: framework.Delete})
		if pop(q, time.Second) != nil {
			t.Fatal("it came back for an event that does not help")
		}
		q.Happened(plugins.Event{Resource: framework.Node, Action: framework.Add})
		if pop(q, time.Second) == nil {
			t.Fatal("a new node did not bring it back")
		}
	})
}

func TestEventDuringTheAttemptIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add(pod("p", 0))
		item := pop(q, time.Second)
		q.Happened(plugins.Event{Resource: framework.Node, Action: framework.Add})
		q.Failed(item, map[string]bool{"fit": true})
		began := time.Now()
		if pop(q, time.Minute) == nil {
			t.Fatal("the node that came meanwhile was forgotten")
		}
		if waited := time.Since(began); waited < 900*time.Millisecond || waited > 1100*time.Millisecond {
			t.Errorf("it came back after %v, want its back-off of 1s", waited)
		}
	})
}

func TestErrorsBackOffDoubling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add(pod("p", 0))
		for _, want := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second} {
			began := time.Now()
			item := pop(q, time.Minute)
			if waited := time.Since(began); waited != want {
				t.Errorf("waited %v, want %v", waited, want)
			}
			q.Failed(item, nil)
		}
	})
}

func TestGatedPodIsNotConsidered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		gated := pod("p", 0)
		gated.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "wait"}}
		q.Add(gated)
		if pop(q, time.Minute) != nil {
			t.Fatal("a gated pod was considered")
		}
		open := gated.DeepCopy()
		open.Spec.SchedulingGates = nil
		q.Update(gated, open)
		if pop(q, time.Second) == nil {
			t.Fatal("the pod was not considered when its gate went")
		}
	})
}

func TestRoomIsPromisedWhileThePodWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		promised := func(node, want string) {
			t.Helper()
			got := ""
			for _, p := range q.Nominated(node) {
				got += p.Name
			}
			if got != want {
				t.Errorf("%q were promised room on %s, want %q", got, node, want)
			}
		}
		before := pod("p", 0)
		q.Add(before)
		promised("a", "")
		after := before.DeepCopy()
		after.Status.NominatedNodeName = "a"
		q.Update(before, after)
		promised("a", "p")
		item := pop(q, time.Second)
		promised("a", "p") // while it is decided upon too
		q.Failed(item, map[string]bool{"fit": true})
		moved := after.DeepCopy()
		moved.Status.NominatedNodeName = "b"
		q.Update(after, moved)
		promised("a", "")
		promised("b", "p")
		q.Delete(before.UID)
		promised("b", "")
	})
}

func TestPodThatNothingWakesComesBackAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add(pod("p", 0))
		began := time.Now()
		q.Failed(pop(q, time.Second), map[string]bool{"other": true})
		if pop(q, time.Hour) == nil {
			t.Fatal("it never came back")
		}
		if waited := time.Since(began); waited < 5*time.Minute || waited > 6*time.Minute {
			t.Errorf("it came back after %v, want 5 minutes and at most a sweep more", waited)
		}
	})
}
