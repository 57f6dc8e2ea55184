package statefulset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func begin(t *testing.T, l *lab.Lab) {
	t.Helper()
	apps, core := l.Informers.Apps().V1(), l.Informers.Core().V1()
	loop, err := New(apps.StatefulSets(), core.Pods(), core.PersistentVolumeClaims(), apps.ControllerRevisions(), l.Client, l.Events, Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.Informers.StartWithContext(ctx)
	var group sync.WaitGroup
	group.Go(func() { loop.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait(); l.Informers.Shutdown() })
	synctest.Wait()
}

func update(t *testing.T, l *lab.Lab, change func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	t.Helper()
	set, err := l.Client.AppsV1().StatefulSets("default").Get(t.Context(), "db", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(set)
	if set, err = l.Client.AppsV1().StatefulSets("default").Update(t.Context(), set, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return set
}

func TestHistoryAndRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		begin(t, l)
		if _, err := l.Client.AppsV1().StatefulSets("default").Create(t.Context(), stateful(2), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle := func() {
			for synctest.Wait(); l.RunAll(t) > 0; synctest.Wait() {
			}
		}
		settle()
		image := func(name string) func(*appsv1.StatefulSet) {
			return func(s *appsv1.StatefulSet) {
				s.Spec.Template.Spec.Containers = []v1.Container{{Name: "c", Image: name}}
			}
		}
		first := update(t, l, func(*appsv1.StatefulSet) {}).Status.UpdateRevision
		for _, name := range []string{"b", "c"} {
			update(t, l, image(name))
			settle()
		}
		update(t, l, func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers = nil })
		settle()
		set := update(t, l, func(s *appsv1.StatefulSet) { s.Spec.RevisionHistoryLimit = ptr.To[int32](1) })
		settle()
		if set.Status.UpdateRevision != first || set.Status.CurrentRevision != first {
			t.Errorf("status %+v, want the first revision %s again", set.Status, first)
		}
		list, err := l.Client.AppsV1().ControllerRevisions("default").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 2 {
			t.Fatalf("%d revisions, error %v; want the present and one old", len(list.Items), err)
		}
		for _, r := range list.Items {
			if r.Name == first && r.Revision != 4 {
				t.Errorf("the first revision has number %d, want 4", r.Revision)
			}
		}
		if !strings.Contains(strings.Join(l.Recorded(), "\n"), "create Pod db-0 in StatefulSet db successful") {
			t.Error("no event of a creation")
		}
	})
}

func TestClaimsAreToldWithTheirPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		refuse := true
		l.Fail = func(verb, resource, _ string, _ runtime.Object) error {
			if refuse && verb == "create" && resource == "persistentvolumeclaims" {
				return errors.New("refused")
			}
			return nil
		}
		begin(t, l)
		set := stateful(1)
		set.Spec.VolumeClaimTemplates = []v1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
		if _, err := l.Client.AppsV1().StatefulSets("default").Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		refuse = false
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		events := l.Recorded()
		for _, want := range []string{
			"Warning FailedCreate create Claim data-db-0 for Pod db-0 in StatefulSet db failed error: refused",
			"Normal SuccessfulCreate create Claim data-db-0 Pod db-0 in StatefulSet db success",
		} {
			if !slices.Contains(events, want) {
				t.Errorf("no event %q in %q", want, events)
			}
		}
	})
}

// A node that is cut off keeps its pods running although the API server shows them as terminating; whatever the caches show and
// whoever deletes what, the set never has two pods of one name that may run.
func TestPartitionsNeverDoubleAName(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 5))
				l := lab.New(t)
				begin(t, l)
				set := stateful(3)
				if seed%2 == 0 {
					set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
				}
				if _, err := l.Client.AppsV1().StatefulSets("default").Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				running := map[string]types.UID{} // what the nodes run, by name
				for range 80 {
					switch random.IntN(8) {
					case 0:
						l.Freeze("pods")
					case 1, 2:
						l.Thaw()
					case 3:
						update(t, l, func(s *appsv1.StatefulSet) { s.Spec.Replicas = ptr.To(random.Int32N(5)) })
					case 4:
						update(t, l, func(s *appsv1.StatefulSet) {
							s.Spec.Template.Annotations = map[string]string{"v": fmt.Sprint(random.IntN(3))}
						})
					case 5: // a partition heals: nodes confirm the end of terminating pods
						for _, pod := range l.Pods() {
							if pod.DeletionTimestamp != nil {
								delete(running, pod.Name)
								l.Gone(t, pod)
							}
						}
					default: // nodes start what is bound to them
						for _, pod := range l.Pods() {
							if pod.Status.Phase != v1.PodPending || pod.DeletionTimestamp != nil {
								continue
							}
							if uid, double := running[pod.Name]; double && uid != pod.UID {
								t.Fatalf("a second pod %s may run while the first was never confirmed to have ended", pod.Name)
							}
							running[pod.Name] = pod.UID
							l.SetPod(t, pod, lab.Running("node"))
						}
					}
					time.Sleep(time.Duration(random.IntN(20)) * time.Second)
					synctest.Wait()
				}
				l.Thaw()
				for synctest.Wait(); l.RunAll(t) > 0; synctest.Wait() {
				}
				time.Sleep(time.Hour)
				for synctest.Wait(); l.RunAll(t) > 0; synctest.Wait() {
				}
				final := update(t, l, func(*appsv1.StatefulSet) {})
				if n := len(l.Pods()); n != int(*final.Spec.Replicas) || final.Status.ReadyReplicas != *final.Spec.Replicas {
					t.Fatalf("%d pods, want %d; status %+v", n, *final.Spec.Replicas, final.Status)
				}
			})
		})
	}
}
