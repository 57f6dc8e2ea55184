package tainteviction

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/pkg/reconcile"
)

func tolerating(seconds *int64) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "p", UID: "u"}, Spec: v1.PodSpec{NodeName: "n",
		Tolerations: []v1.Toleration{{Key: "k", Operator: v1.TolerationOpExists, TolerationSeconds: seconds}}}}
}

// both is the first pod with the other's tolerations after its own.
func both(first, second *v1.Pod) *v1.Pod {
	first.Spec.Tolerations = append(first.Spec.Tolerations, second.Spec.Tolerations...)
	return first
}

func TestStay(t *testing.T) {
	now := time.Unix(1000, 0)
	added := func(ago time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-ago)} }
	tests := []struct {
		name      string
		pod       *v1.Pod
		taint     v1.Taint
		firstSeen time.Time
		left      time.Duration
		evict     bool
	}{
		{"not tolerated", &v1.Pod{}, v1.Taint{Key: "k", Effect: v1.TaintEffectNoExecute}, now, 0, true},
		{"tolerated for ever", tolerating(nil), v1.Taint{Key: "k", Effect: v1.TaintEffectNoExecute}, now, 0, false},
		{"for a time since it was added", tolerating(ptr.To[int64](60)), v1.Taint{Key: "k", Effect: v1.TaintEffectNoExecute, TimeAdded: added(20 * time.Second)}, now, 40 * time.Second, true},
		{"for a time since it was seen, when it does not say", tolerating(ptr.To[int64](60)), v1.Taint{Key: "k", Effect: v1.TaintEffectNoExecute}, now.Add(-50 * time.Second), 10 * time.Second, true},
		{"by the first toleration that matches", both(tolerating(nil), tolerating(ptr.To[int64](4))), v1.Taint{Key: "k", Effect: v1.TaintEffectNoExecute}, now, 0, false},
		{"by the first of two limits", both(tolerating(ptr.To[int64](300)), tolerating(ptr.To[int64](4))), v1.Taint{Key: "k", Effect: v1.TaintEffectNoExecute}, now, 300 * time.Second, true},
		{"a soft taint", &v1.Pod{}, v1.Taint{Key: "k", Effect: v1.TaintEffectNoSchedule}, now, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			left, evict := Stay(tt.pod, []v1.Taint{tt.taint}, now, func(*v1.Taint) time.Time { return tt.firstSeen })
			if evict != tt.evict || (evict && left != tt.left) {
				t.Errorf("stay %v, evict %v; want %v, %v", left, evict, tt.left, tt.evict)
			}
		})
	}
}

// A taint that goes in time leaves the pod where it is, and the event says so.
func TestATaintThatGoesCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: v1.NodeSpec{Taints: []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoExecute}}}}
		client, events := fake.NewClientset(tolerating(ptr.To[int64](60)), node), record.NewFakeRecorder(10)
		factory := informers.NewSharedInformerFactory(client, 0)
		c := New(factory, client, events, clock.RealClock{})
		factory.Start(ctx.Done())
		go c.Run(ctx)
		time.Sleep(5 * time.Second)
		free := node.DeepCopy()
		free.ResourceVersion, free.Spec.Taints = "2", nil
		if _, err := client.CoreV1().Nodes().Update(ctx, free, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if _, err := client.CoreV1().Pods("d").Get(ctx, "p", metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
		if len(events.Events) != 1 {
			t.Fatalf("%d events, want one", len(events.Events))
		}
		if got := <-events.Events; got != "Normal TaintManagerEviction Cancelling deletion of Pod d/p" {
			t.Error(got)
		}
		cancel()
		factory.Shutdown()
		time.Sleep(time.Second)
	})
}

func TestWhatWasScheduledForAPodIsNotItsSuccessors(t *testing.T) {
	seen := &sightings{scheduled: map[types.NamespacedName]types.UID{}}
	key := reconcile.Key{Namespace: "d", Name: "p"}
	seen.schedule(key, "first")
	if seen.cancel(key, "second") {
		t.Error("a pod is told that its deletion is cancelled, which was that of another of its name")
	}
	seen.schedule(key, "second")
	if !seen.cancel(key, "second") || seen.cancel(key, "second") {
		t.Error("a deletion is cancelled once")
	}
}

// TestKubectlTaintEvictsInTime: a taint without timeAdded, as kubectl taint writes it, ends the pod when its toleration does.
func TestKubectlTaintEvictsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		client := fake.NewClientset(tolerating(ptr.To[int64](5)), &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: v1.NodeSpec{Taints: []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoExecute}}}})
		factory := informers.NewSharedInformerFactory(client, 0)
		c := New(factory, client, &record.FakeRecorder{}, clock.RealClock{})
		factory.Start(ctx.Done())
		go c.Run(ctx)
		exists := func() bool {
			_, err := client.CoreV1().Pods("d").Get(ctx, "p", metav1.GetOptions{})
			return !apierrors.IsNotFound(err)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if !exists() {
			t.Error("the pod went before its toleration ended")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if exists() {
			t.Error("the pod is still there after its toleration ended")
		}
		cancel()
		factory.Shutdown()
		time.Sleep(time.Second)
	})
}

// The cache shows a pod that was replaced under its name: its successor, which tolerates the taint, is neither deleted nor announced.
func TestASuccessorIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		old, successor := tolerating(nil), tolerating(nil)
		old.Spec.Tolerations, successor.UID = nil, "successor"
		node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
		l.Seed(old, node)
		l.Run(t, New(l.Informers, l.Client, l.Events, clock.RealClock{}))
		l.Freeze("pods")
		l.Seed(successor)
		node.Spec.Taints = []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoExecute}}
		l.Seed(node)
		time.Sleep(time.Second)
		l.Thaw()
		time.Sleep(time.Minute)
		synctest.Wait()
		if pod := l.Pods()["p"]; pod == nil || len(pod.Status.Conditions) != 0 {
			t.Errorf("the successor is %+v", pod)
		}
	})
}
