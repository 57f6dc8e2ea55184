package status

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func stored(name string, deleting bool) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}}
	p.Status.Conditions = []v1.PodCondition{{Type: "example.com/own", Status: v1.ConditionTrue}}
	if deleting {
		now := metav1.Now()
		p.DeletionTimestamp, p.Finalizers = &now, []string{"keeps/it"} // the fake client refuses deletion times otherwise
	}
	return p
}

func itself(p *v1.Pod) (types.NamespacedName, types.UID, bool) {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, p.UID, true
}

func writes(c *fake.Clientset) (patches, deletes int) {
	for _, a := range c.Actions() {
		switch a.GetVerb() {
		case "patch":
			patches++
		case "delete":
			deletes++
		}
	}
	return patches, deletes
}

func TestWriterWritesWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := stored("a", false)
		client := fake.NewClientset(p)
		w := &Writer{Client: client, Target: itself}
		for range 3 {
			w.Set(t.Context(), p, v1.PodStatus{Phase: v1.PodRunning}, false)
			synctest.Wait()
		}
		if patches, _ := writes(client); patches != 1 {
			t.Errorf("%d writes of one status, want 1", patches)
		}
		got, err := client.CoreV1().Pods("ns").Get(t.Context(), "a", metav1.GetOptions{})
		if err != nil || got.Status.Phase != v1.PodRunning || len(got.Status.Conditions) != 1 {
			t.Errorf("status %+v, error %v: want the phase, and others' condition kept", got.Status, err)
		}
	})
}

func TestAConditionThatIsStoredTwiceIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := stored("a", false)
		p.ResourceVersion = "7"
		twice := v1.PodCondition{Type: v1.ContainersReady, Status: v1.ConditionFalse}
		p.Status.Conditions = append(p.Status.Conditions, twice, twice)
		client := fake.NewClientset(p)
		var version string
		client.PrependReactor("update", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
			version = a.(clienttesting.UpdateAction).GetObject().(*v1.Pod).ResourceVersion
			return false, nil, nil
		})
		w := &Writer{Client: client, Target: itself}
		w.Set(t.Context(), p, v1.PodStatus{Phase: v1.PodRunning, Conditions: []v1.PodCondition{{Type: v1.ContainersReady, Status: v1.ConditionTrue}}}, false)
		synctest.Wait()
		got, err := client.CoreV1().Pods("ns").Get(t.Context(), "a", metav1.GetOptions{})
		if err != nil || got.Status.Phase != v1.PodRunning || len(got.Status.Conditions) != 2 || !has(got.Status.Conditions, "example.com/own") || condition(got.Status, v1.ContainersReady).Status != v1.ConditionTrue {
			t.Errorf("status %+v, error %v: want one ContainersReady, and others' condition", got.Status, err)
		}
		if patches, _ := writes(client); patches != 0 || version != "7" {
			t.Errorf("%d patches, which would delete both; an update of version %q, want that which was read", patches, version)
		}
	})
}

func TestTheKubeletsConditionsAreWritten(t *testing.T) {
	for _, kind := range []v1.PodConditionType{v1.PodReady, v1.DisruptionTarget, v1.PodResizePending, v1.AllContainersRestarting} {
		mine := v1.PodStatus{Conditions: []v1.PodCondition{{Type: kind, Status: v1.ConditionTrue}}}
		if got := merge(v1.PodStatus{Conditions: []v1.PodCondition{{Type: kind, Status: v1.ConditionFalse}}}, mine); len(got.Conditions) != 1 || got.Conditions[0].Status != v1.ConditionTrue {
			t.Errorf("conditions %+v of a new %s", got.Conditions, kind)
		}
	}
}

func TestWriterTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := stored("a", false)
		client := fake.NewClientset(p)
		failures := 2
		client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			failures--
			if failures >= 0 {
				return true, nil, errors.New("the server is away")
			}
			return false, nil, nil
		})
		w := &Writer{Client: client, Target: itself}
		w.Set(t.Context(), p, v1.PodStatus{Phase: v1.PodRunning}, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, _ := client.CoreV1().Pods("ns").Get(t.Context(), "a", metav1.GetOptions{}); got.Status.Phase != v1.PodRunning {
			t.Errorf("phase %q after the server came back", got.Status.Phase)
		}
	})
}

func TestWriterDeletesOnlyWhatEndedAndMayGo(t *testing.T) {
	for _, tt := range []struct {
		name            string
		deleting, final bool
		want            int
	}{{"runs", false, false, 0}, {"ended by itself", false, true, 0}, {"is being ended", true, false, 0}, {"is gone", true, true, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := stored("a", tt.deleting)
				client := fake.NewClientset(p)
				w := &Writer{Client: client, Target: itself}
				w.Set(t.Context(), p, v1.PodStatus{Phase: v1.PodSucceeded}, tt.final)
				synctest.Wait()
				_, deletes := writes(client)
				if deletes != tt.want {
					t.Errorf("%d deletions, want %d", deletes, tt.want)
				}
			})
		})
	}
}

func TestWriterLeavesAnotherPodOfTheNameAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine := stored("a", true)
		mine.UID = "older"
		client := fake.NewClientset(stored("a", false))
		w := &Writer{Client: client, Target: itself}
		w.Set(t.Context(), mine, v1.PodStatus{Phase: v1.PodFailed}, true)
		synctest.Wait()
		if patches, deletes := writes(client); patches+deletes != 0 {
			t.Errorf("%d patches and %d deletions of a pod that only has the name", patches, deletes)
		}
	})
}

func TestWriterWithoutServer(t *testing.T) {
	w := &Writer{Target: itself}
	w.Set(context.Background(), stored("a", false), v1.PodStatus{Phase: v1.PodRunning}, false)
	if s, ok := w.Get("uid-a"); !ok || s.Phase != v1.PodRunning {
		t.Errorf("status %v, %v: the kubelet's own API shows it all the same", s, ok)
	}
	w.Forget("uid-a")
	if _, ok := w.Get("uid-a"); ok {
		t.Error("a pod that is gone keeps a status")
	}
}
