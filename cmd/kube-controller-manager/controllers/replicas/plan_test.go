package replicas

import (
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

type option func(*v1.Pod)

func pod(name string, options ...option) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}}
	p.Spec.NodeName = "n1"
	p.Status.Phase = v1.PodRunning
	ready(time.Hour)(p)
	for _, o := range options {
		o(p)
	}
	return p
}

func ready(ago time.Duration) option {
	return func(p *v1.Pod) {
		p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-ago))}}
	}
}

func unready(p *v1.Pod)     { p.Status.Conditions = nil }
func unassigned(p *v1.Pod)  { p.Spec.NodeName = ""; p.Status.Phase = v1.PodPending; unready(p) }
func pending(p *v1.Pod)     { p.Status.Phase = v1.PodPending; unready(p) }
func on(node string) option { return func(p *v1.Pod) { p.Spec.NodeName = node } }
func cost(c string) option {
	return func(p *v1.Pod) { p.Annotations = map[string]string{pods.DeletionCost: c} }
}
func created(ago time.Duration) option {
	return func(p *v1.Pod) { p.CreationTimestamp = metav1.NewTime(now.Add(-ago)) }
}
func restarted(n int32) option {
	return func(p *v1.Pod) { p.Status.ContainerStatuses = []v1.ContainerStatus{{RestartCount: n}} }
}
func label(k, v string) option { return func(p *v1.Pod) { p.Labels = map[string]string{k: v} } }

func TestDecideDeletesTheCheapestPod(t *testing.T) {
	for _, c := range []struct {
		why        string
		keep, lose *v1.Pod
		neighbours map[string]int
	}{
		{"not assigned", pod("a", pending), pod("b", unassigned), nil},
		{"pending", pod("a", unready), pod("b", pending), nil},
		{"not ready", pod("a", cost("-5")), pod("b", unready), nil},
		{"lower cost", pod("a", cost("10"), on("n2")), pod("b", cost("-1")), map[string]int{"n2": 9}},
		{"unreadable cost counts as zero", pod("a", cost("1")), pod("b", cost("much")), nil},
		{"crowded node", pod("a", on("n1")), pod("b", on("n2")), map[string]int{"n1": 1, "n2": 3}},
		{"ready for less time", pod("a", ready(time.Hour)), pod("b", ready(time.Minute)), nil},
		{"more restarts", pod("a", restarted(1)), pod("b", restarted(7)), nil},
		{"younger", pod("a", created(24*time.Hour)), pod("b", created(time.Hour)), nil},
		{"of like age by UID", pod("b", created(time.Hour)), pod("a", created(time.Hour+time.Second)), nil},
	} {
		for _, order := range [][]*v1.Pod{{c.keep, c.lose}, {c.lose, c.keep}} {
			plan := Decide(1, order, c.neighbours, now)
			if want := fmt.Sprintf("delete %s\n", c.lose.Name); plan.String() != want {
				t.Errorf("%s: plan %q, want %q", c.why, plan, want)
			}
		}
	}
}

func TestDecideCounts(t *testing.T) {
	many := make([]*v1.Pod, 700)
	for i := range many {
		many[i] = pod(fmt.Sprint("p", i))
	}
	for _, c := range []struct{ wanted, have, create, remove int }{
		{3, 0, 3, 0}, {3, 3, 0, 0}, {0, 2, 0, 2}, {5000, 0, Burst, 0}, {0, 700, 0, Burst}, {10, 4, 6, 0},
	} {
		plan := Decide(c.wanted, many[:c.have], nil, now)
		if plan.Create != c.create || len(plan.Delete) != c.remove {
			t.Errorf("wanted %d, have %d: create %d, delete %d; want %d, %d", c.wanted, c.have, plan.Create, len(plan.Delete), c.create, c.remove)
		}
	}
}

func TestStatus(t *testing.T) {
	active := []*v1.Pod{
		pod("full", label("app", "x"), ready(time.Minute)), pod("fresh", label("app", "x"), ready(4*time.Second)), pod("other", ready(time.Minute)), pod("sick", unready),
	}
	status, wake := Status(appsv1.ReplicaSetStatus{}, Observation{
		Generation: 7, Wanted: 4, MinReadySeconds: 10, TemplateLabels: map[string]string{"app": "x"}, Active: active, Terminating: 2, Now: now,
	})
	if status.Replicas != 4 || status.FullyLabeledReplicas != 2 || status.ReadyReplicas != 3 || status.AvailableReplicas != 2 ||
		*status.TerminatingReplicas != 2 || status.ObservedGeneration != 7 {
		t.Errorf("status %+v", status)
	}
	if wake != 6*time.Second {
		t.Errorf("wakes after %v, want 6s, when the fresh pod becomes available", wake)
	}
}

func TestFailureConditionComesStaysAndGoes(t *testing.T) {
	o := Observation{Wanted: 2, Now: now, Failure: errors.New("quota")}
	status, _ := Status(appsv1.ReplicaSetStatus{}, o)
	if len(status.Conditions) != 1 || status.Conditions[0].Reason != "FailedCreate" || status.Conditions[0].Message != "quota" {
		t.Fatalf("conditions %+v", status.Conditions)
	}
	o.Now = now.Add(time.Hour)
	again, _ := Status(status, o)
	if !again.Conditions[0].LastTransitionTime.Equal(&status.Conditions[0].LastTransitionTime) {
		t.Error("a lasting failure got a new transition time")
	}
	o.Failure = nil
	if gone, _ := Status(again, o); len(gone.Conditions) != 0 {
		t.Errorf("conditions after success: %+v", gone.Conditions)
	}
	o.Failure, o.Active = errors.New("no"), []*v1.Pod{pod("a"), pod("b"), pod("c")}
	if s, _ := Status(again, o); s.Conditions[0].Reason != "FailedDelete" {
		t.Errorf("reason %q with too many pods", s.Conditions[0].Reason)
	}
}
