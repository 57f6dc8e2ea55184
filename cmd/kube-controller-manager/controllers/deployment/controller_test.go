package deployment

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

func begin(t *testing.T, l *lab.Lab) {
	t.Helper()
	apps := l.Informers.Apps().V1()
	loop, err := New(apps.Deployments(), apps.ReplicaSets(), l.Informers.Core().V1().Pods(), l.Client, l.Events, Options{Workers: 2})
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

func sets(t *testing.T, l *lab.Lab) []appsv1.ReplicaSet {
	t.Helper()
	list, err := l.Client.AppsV1().ReplicaSets("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func update(t *testing.T, l *lab.Lab, change func(*appsv1.Deployment)) *appsv1.Deployment {
	t.Helper()
	d, err := l.Client.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(d)
	if d, err = l.Client.AppsV1().Deployments("default").Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return d
}

func TestAFrozenCacheMakesNoSecondSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		begin(t, l)
		l.Freeze("replicasets")
		if _, err := l.Client.AppsV1().Deployments("default").Create(t.Context(), deployment(3, "1", "0"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		for i := range int32(10) {
			time.Sleep(time.Minute)
			update(t, l, func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To(3 + i) })
		}
		if n := l.Count("create replicasets"); n != 1 || l.Count("update replicasets") != 0 {
			t.Fatalf("%d sets created, %d updates under a frozen cache", n, l.Count("update replicasets"))
		}
		l.Thaw()
		synctest.Wait()
		if all := sets(t, l); len(all) != 1 || *all[0].Spec.Replicas != 12 {
			t.Fatalf("sets %+v", all)
		}
		events := strings.Join(l.Recorded(), "\n")
		if !strings.Contains(events, "ScalingReplicaSet Scaled up replica set") || !strings.Contains(events, "from 0 to 3") {
			t.Errorf("events:\n%s", events)
		}
	})
}

func TestAHashCollisionGetsAnotherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		begin(t, l)
		d := deployment(1, "1", "0")
		taken := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-" + pods.Hash(d.Spec.Template, nil)}}
		if _, err := l.Client.AppsV1().ReplicaSets("default").Create(t.Context(), taken, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Client.AppsV1().Deployments("default").Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got := update(t, l, func(*appsv1.Deployment) {})
		if len(sets(t, l)) != 2 || ptr.Deref(got.Status.CollisionCount, 0) != 1 {
			t.Fatalf("%d sets, status %+v", len(sets(t, l)), got.Status)
		}
	})
}

func TestARefusedSetIsLackOfProgressOnlyWithADeadline(t *testing.T) {
	for _, deadline := range []int32{600, math.MaxInt32} {
		synctest.Test(t, func(t *testing.T) {
			l := lab.New(t)
			l.Fail = func(verb, resource, _ string, _ runtime.Object) error {
				if verb == "create" && resource == "replicasets" {
					return errors.New("refused")
				}
				return nil
			}
			begin(t, l)
			d := deployment(1, "1", "0")
			d.Spec.ProgressDeadlineSeconds = &deadline
			if _, err := l.Client.AppsV1().Deployments("default").Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			d = update(t, l, func(*appsv1.Deployment) {})
			if c := condition(d.Status, appsv1.DeploymentProgressing); (c != nil && c.Reason == reasonCreateError) != (deadline == 600) {
				t.Errorf("with a deadline of %d s the condition is %+v", deadline, c)
			}
			if !strings.Contains(strings.Join(l.Recorded(), "\n"), "Warning "+reasonCreateError) {
				t.Error("no event of the refusal")
			}
		})
	}
}

func TestOrphanedSetsAreAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		begin(t, l)
		d := deployment(2, "1", "0")
		orphan := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kept", Labels: map[string]string{"app": "web"}}}
		orphan.Spec = appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](2), Template: d.Spec.Template}
		if _, err := l.Client.AppsV1().ReplicaSets("default").Create(t.Context(), orphan, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		d, err := l.Client.AppsV1().Deployments("default").Create(t.Context(), d, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if all := sets(t, l); len(all) != 1 || !metav1.IsControlledBy(&all[0], d) || all[0].Annotations[RevisionAnnotation] != "1" {
			t.Fatalf("sets %+v", all)
		}
	})
}
