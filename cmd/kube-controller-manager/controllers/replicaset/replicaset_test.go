package replicaset_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/cmd/kube-controller-manager/controllers/replicas"
	"pilotis.dev/cmd/kube-controller-manager/controllers/replicaset"
)

// start runs a controller over the lab until the test ends or stop is called.
func start(t *testing.T, l *lab.Lab) (stop func()) {
	t.Helper()
	loop, err := replicaset.New(l.Informers.Apps().V1().ReplicaSets(), l.Informers.Core().V1().Pods(), l.Client, l.Events, replicas.Options{Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.Informers.StartWithContext(ctx)
	var group sync.WaitGroup
	group.Go(func() { loop.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); group.Wait(); l.Informers.Shutdown() })
	t.Cleanup(stop)
	synctest.Wait()
	return stop
}

func set(name string, n int32) *appsv1.ReplicaSet {
	labels := map[string]string{"app": name}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.ReplicaSetSpec{Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: v1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c"}}},
		}},
	}
}

func create(t *testing.T, l *lab.Lab, rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	t.Helper()
	made, err := l.Client.AppsV1().ReplicaSets(rs.Namespace).Create(t.Context(), rs, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func scale(t *testing.T, l *lab.Lab, name string, n int32) {
	t.Helper()
	rs, err := l.Client.AppsV1().ReplicaSets("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rs.Spec.Replicas = &n
	if _, err := l.Client.AppsV1().ReplicaSets("default").Update(t.Context(), rs, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestPodsAreCreatedReplacedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l)
		create(t, l, set("web", 3))
		synctest.Wait()
		if n := len(l.Pods()); n != 3 {
			t.Fatalf("%d pods, want 3", n)
		}
		l.RunAll(t)
		synctest.Wait()
		rs, _ := l.Client.AppsV1().ReplicaSets("default").Get(t.Context(), "web", metav1.GetOptions{})
		if rs.Status.ReadyReplicas != 3 || rs.Status.AvailableReplicas != 3 || rs.Status.ObservedGeneration != rs.Generation {
			t.Fatalf("status %+v", rs.Status)
		}
		for _, pod := range l.Pods() {
			l.SetPod(t, pod, lab.Ended(1))
			break
		}
		synctest.Wait()
		if n := l.Count("create pods"); n != 4 {
			t.Fatalf("%d pods created after one failed, want 4", n)
		}
	})
}

func TestAFrozenCacheNeverDoublesPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l)
		l.Freeze("pods")
		create(t, l, set("web", 5))
		for n := range int32(20) { // each update of the set asks for a reconciliation
			time.Sleep(30 * time.Second)
			scale(t, l, "web", 5+n%2)
		}
		synctest.Wait()
		if n := l.Count("create pods"); n != 5 {
			t.Fatalf("%d pods created while the cache of pods was frozen for 10 minutes, want 5", n)
		}
		l.Thaw()
		synctest.Wait()
		if n := len(l.Pods()); n != 6 {
			t.Fatalf("%d pods after the thaw, want 6", n)
		}
	})
}

func TestAFrozenCacheNeverDeletesTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l)
		create(t, l, set("web", 10))
		synctest.Wait()
		l.RunAll(t)
		synctest.Wait()
		l.Freeze("pods")
		for _, n := range []int32{7, 6, 5} {
			scale(t, l, "web", n)
			time.Sleep(5 * time.Minute)
		}
		synctest.Wait()
		if n := l.Count("delete pods"); n != 3 {
			t.Fatalf("%d pods deleted under a frozen cache, want the first 3 only", n)
		}
		l.Thaw()
		synctest.Wait()
		if n := l.Count("delete pods"); n != 5 {
			t.Fatalf("%d pods deleted, want 5", n)
		}
	})
}

func TestOrphansAreAdoptedAndStrangersReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		start(t, l)
		orphan := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "orphan", Labels: map[string]string{"app": "web"}}}
		if _, err := l.Client.CoreV1().Pods("default").Create(t.Context(), orphan, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		rs := create(t, l, set("web", 2))
		synctest.Wait()
		if !metav1.IsControlledBy(l.Pods()["orphan"], rs) || len(l.Pods()) != 2 {
			t.Fatalf("pods %v: the orphan was not adopted, or not counted", l.Pods())
		}
		l.SetPod(t, l.Pods()["orphan"], func(p *v1.Pod) { p.Labels["app"] = "other" })
		synctest.Wait()
		if metav1.GetControllerOf(l.Pods()["orphan"]) != nil || len(l.Pods()) != 3 {
			t.Fatalf("the pod whose labels changed was not released and replaced")
		}
	})
}

func TestQuotaCostsOneRequestAndMakesACondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		asked := 0
		l.Fail = func(verb, resource, _ string, _ runtime.Object) error {
			if verb == "create" && resource == "pods" {
				asked++
				return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("exceeded quota"))
			}
			return nil
		}
		stop := start(t, l)
		create(t, l, set("web", 100))
		synctest.Wait()
		if asked > 2 { // once for the set, and once more for the event of its new status
			t.Fatalf("asked %d times for 100 pods that quota refuses, want one at a time", asked)
		}
		time.Sleep(time.Hour)
		if asked > 40 {
			t.Fatalf("asked %d times in an hour: no back-off", asked)
		}
		stop()
		rs, _ := l.Client.AppsV1().ReplicaSets("default").Get(t.Context(), "web", metav1.GetOptions{})
		if len(rs.Status.Conditions) != 1 || rs.Status.Conditions[0].Type != appsv1.ReplicaSetReplicaFailure {
			t.Fatalf("conditions %+v", rs.Status.Conditions)
		}
		if events := l.Recorded(); !strings.Contains(events[0], "FailedCreate") {
			t.Fatalf("events %v", events)
		}
	})
}

// Random histories with freezes, restarts and pod deaths: at no time are there more pods alive than the highest number that was
// asked for, and in the end there are exactly as many as asked for.
func TestRandomHistoriesConverge(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				l := lab.New(t)
				start(t, l)
				highest := int32(3)
				create(t, l, set("web", highest))
				check := func() {
					alive := int32(0)
					for _, pod := range l.Pods() {
						if pod.DeletionTimestamp == nil && pod.Status.Phase != v1.PodFailed {
							alive++
						}
					}
					if alive > highest {
						t.Fatalf("%d pods alive, at most %d were ever asked for", alive, highest)
					}
				}
				for range 60 {
					switch random.IntN(7) {
					case 0:
						n := random.Int32N(12)
						highest = max(highest, n)
						scale(t, l, "web", n)
					case 1:
						l.Freeze("pods")
					case 2:
						l.Freeze("replicasets")
					case 3:
						l.Thaw()
					case 4:
						l.RunAll(t)
					case 5:
						for _, pod := range l.Pods() {
							if pod.Status.Phase == v1.PodRunning && pod.DeletionTimestamp == nil {
								l.SetPod(t, pod, lab.Ended(1))
								break
							}
						}
					case 6:
						time.Sleep(time.Duration(random.IntN(60)) * time.Second)
					}
					synctest.Wait()
					check()
				}
				l.Thaw()
				for range 10 {
					time.Sleep(time.Minute)
					synctest.Wait()
					check()
				}
				rs, _ := l.Client.AppsV1().ReplicaSets("default").Get(t.Context(), "web", metav1.GetOptions{})
				alive := int32(0)
				for _, pod := range l.Pods() {
					if pod.DeletionTimestamp == nil && pod.Status.Phase != v1.PodFailed {
						alive++
					}
				}
				if alive != ptr.Deref(rs.Spec.Replicas, 1) || rs.Status.Replicas != alive {
					t.Fatalf("%d pods alive, %d in the status, want %d", alive, rs.Status.Replicas, *rs.Spec.Replicas)
				}
			})
		})
	}
}
