package podgc

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestAPodThatStaysSlowsNothingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Fail = func(_, _, _ string, obj runtime.Object) error {
			if pod, ok := obj.(*v1.Pod); ok && pod.Name == "stays" {
				return errors.New("refused")
			}
			return nil
		}
		now := metav1.Now()
		stuck := func(name string) *v1.Pod {
			return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: name, DeletionTimestamp: &now}}
		}
		l.Seed(stuck("stays"))
		l.Run(t, New(l.Informers, l.Client, 0))
		time.Sleep(time.Hour)
		l.Seed(stuck("goes"))
		time.Sleep(every + time.Second)
		synctest.Wait()
		if left := l.Pods(); left["goes"] != nil || left["stays"] == nil {
			t.Errorf("pods left: %v", left)
		}
	})
}

func TestPlan(t *testing.T) {
	at := func(minute int) metav1.Time { return metav1.NewTime(time.Unix(int64(minute)*60, 0)) }
	deleted := at(9)
	pod := func(name, node string, phase v1.PodPhase, created int, deleting bool) *v1.Pod {
		p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at(created)}, Spec: v1.PodSpec{NodeName: node}, Status: v1.PodStatus{Phase: phase}}
		if deleting {
			p.DeletionTimestamp = &deleted
		}
		return p
	}
	pods := []*v1.Pod{
		pod("runs", "a", v1.PodRunning, 1, false), pod("orphan", "x", v1.PodRunning, 1, false), pod("stuck", "", v1.PodPending, 1, true),
		pod("old", "a", v1.PodSucceeded, 1, false), pod("new", "a", v1.PodFailed, 2, false), pod("parted", "b", v1.PodRunning, 1, true), pod("stays", "b", v1.PodRunning, 1, false),
	}
	nodes := []*v1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: v1.NodeSpec{Taints: []v1.Taint{{Key: v1.TaintNodeOutOfService}}}}}
	var names []string
	for _, d := range Plan(pods, nodes, map[string]bool{"x": true}, 1) {
		names = append(names, d.Pod.Name)
	}
	if got := strings.Join(names, " "); got != "orphan stuck parted old" {
		t.Errorf("deleted %q, want orphan stuck parted old", got)
	}
	if got := len(Plan(pods, nodes, nil, 0)); got != 2 {
		t.Errorf("without a threshold %d are deleted, want stuck and parted", got)
	}
}
