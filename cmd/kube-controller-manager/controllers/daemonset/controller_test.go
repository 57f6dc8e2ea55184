package daemonset

import (
	"context"
	"errors"
	"fmt"
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

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func begin(t *testing.T, l *lab.Lab) (stop func()) {
	t.Helper()
	apps, core := l.Informers.Apps().V1(), l.Informers.Core().V1()
	loop, err := New(apps.DaemonSets(), core.Pods(), core.Nodes(), apps.ControllerRevisions(), l.Client, l.Events, Options{Workers: 2})
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

func addNode(t *testing.T, l *lab.Lab, name string) {
	t.Helper()
	if _, err := l.Client.CoreV1().Nodes().Create(t.Context(), node(name), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func onePodANode(t *testing.T, l *lab.Lab, nodes int) {
	t.Helper()
	seen := map[string]bool{}
	for _, pod := range l.Pods() {
		if seen[targetOf(pod)] {
			t.Fatalf("two daemons on %s", targetOf(pod))
		}
		seen[targetOf(pod)] = true
	}
	if len(seen) != nodes {
		t.Fatalf("daemons on %d nodes, want %d", len(seen), nodes)
	}
}

func TestAFrozenCacheAndARestartDoubleNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		stop := begin(t, l)
		for i := range 3 {
			addNode(t, l, fmt.Sprint("n", i))
		}
		l.Freeze("pods")
		if _, err := l.Client.AppsV1().DaemonSets("default").Create(t.Context(), daemon("0", "1"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range 5 { // each new node asks for a reconciliation
			addNode(t, l, fmt.Sprint("later", i))
			time.Sleep(2 * time.Minute)
		}
		onePodANode(t, l, 3)
		stop() // fail-over to an instance that starts from a fresh list
		l.Thaw()
		begin(t, l.Restart())
		onePodANode(t, l, 8)
	})
}

func TestHeartbeatsDoNotReconcile(t *testing.T) {
	before := node("n")
	after := before.DeepCopy()
	after.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
	if differs(before, after) {
		t.Error("a heartbeat asks for a reconciliation")
	}
	after.Spec.Unschedulable = true
	if !differs(before, after) {
		t.Error("a cordon does not ask for a reconciliation")
	}
}

func TestPodsCarryTheRevisionOfTheTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		begin(t, l)
		addNode(t, l, "n")
		if _, err := l.Client.AppsV1().DaemonSets("default").Create(t.Context(), daemon("0", "1"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		list, err := l.Client.AppsV1().ControllerRevisions("default").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("revisions %v, error %v", list.Items, err)
		}
		for _, pod := range l.Pods() {
			if hash := pod.Labels[appsv1.ControllerRevisionHashLabelKey]; hash == "" || hash != list.Items[0].Labels[appsv1.ControllerRevisionHashLabelKey] {
				t.Errorf("pod has revision %q, the template %v", hash, list.Items[0].Labels)
			}
		}
	})
}

// A quota of one pod: the daemon of the node that is left has to go before the one of the other node is admitted.
func TestARefusedCreateDoesNotKeepDaemonsFromGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		begin(t, l)
		addNode(t, l, "a")
		addNode(t, l, "b")
		held := 0
		l.Fail = func(verb, resource, _ string, _ runtime.Object) error {
			switch {
			case resource == "pods" && verb == "delete":
				held--
			case resource == "pods" && verb == "create" && held == 1:
				return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "d", errors.New("exceeded quota"))
			case resource == "pods" && verb == "create":
				held++
			}
			return nil
		}
		client := l.Client.AppsV1().DaemonSets("default")
		ds := daemon("0", "1")
		ds.Spec.Template.Spec.NodeSelector = map[string]string{v1.LabelHostname: "a"}
		ds, err := client.Create(t.Context(), ds, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ds.Spec.Template.Spec.NodeSelector[v1.LabelHostname] = "b"
		ds.ResourceVersion = ""
		if _, err := client.Update(t.Context(), ds, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		onePodANode(t, l, 1)
		for _, pod := range l.Pods() {
			if targetOf(pod) != "b" {
				t.Errorf("the daemon is still on %s", targetOf(pod))
			}
		}
	})
}
