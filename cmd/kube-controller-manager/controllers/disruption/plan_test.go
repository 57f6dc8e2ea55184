package disruption

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func podsOf(ready, unready int) []*v1.Pod {
	var list []*v1.Pod
	for i := range ready + unready {
		p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}}
		if i < ready {
			p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue}}
		}
		list = append(list, p)
	}
	return list
}

func TestDecide(t *testing.T) {
	min := func(v string) policyv1.PodDisruptionBudgetSpec {
		return policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.Parse(v))}
	}
	most := func(v string) policyv1.PodDisruptionBudgetSpec {
		return policyv1.PodDisruptionBudgetSpec{MaxUnavailable: ptr.To(intstr.Parse(v))}
	}
	for _, c := range []struct {
		spec            policyv1.PodDisruptionBudgetSpec
		ready, unready  int
		wanted          int
		desired, allows int32
	}{
		{min("2"), 3, 0, 0, 2, 1}, {min("2"), 1, 2, 0, 2, 0}, {min("0"), 2, 0, 0, 0, 2}, {min("5"), 3, 0, 0, 5, 0}, {min("1"), 0, 0, 0, 1, 0},
		{min("50%"), 3, 0, 5, 3, 0}, {min("50%"), 5, 0, 5, 3, 2}, {min("100%"), 4, 0, 4, 4, 0},
		{most("1"), 3, 0, 3, 2, 1}, {most("1"), 2, 1, 3, 2, 0}, {most("30%"), 10, 0, 10, 7, 3}, {most("1"), 4, 0, 3, 2, 2}, {most("5"), 2, 0, 3, 0, 2},
	} {
		plan, err := Decide(Input{Budget: &policyv1.PodDisruptionBudget{Spec: c.spec}, Pods: podsOf(c.ready, c.unready), Expected: c.wanted, Now: now})
		s := plan.Status
		if err != nil || s.DesiredHealthy != c.desired || s.DisruptionsAllowed != c.allows || s.CurrentHealthy != int32(c.ready) {
			t.Errorf("%v with %d of %d ready, %d wanted: %v, error %v; want desired %d, allowed %d", c.spec, c.ready, c.ready+c.unready, c.wanted, plan, err, c.desired, c.allows)
		}
		if condition := s.Conditions[0]; (condition.Status == metav1.ConditionTrue) != (c.allows > 0) {
			t.Errorf("condition %+v with %d allowed", condition, c.allows)
		}
	}
}

func TestGrantedEvictionsCountUntilTheyAreLost(t *testing.T) {
	b := &policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromInt32(1))}}
	b.Status.DisruptedPods = map[string]metav1.Time{
		"p0": metav1.NewTime(now.Add(-30 * time.Second)), "p1": metav1.NewTime(now.Add(-3 * time.Minute)), "gone": metav1.NewTime(now),
	}
	plan, err := Decide(Input{Budget: b, Pods: podsOf(3, 0), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if s := plan.Status; s.CurrentHealthy != 2 || s.DisruptionsAllowed != 1 || len(s.DisruptedPods) != 1 {
		t.Errorf("status %+v", s)
	}
	if len(plan.Lost) != 1 || plan.Lost[0] != "p1" || plan.Wake != 90*time.Second {
		t.Errorf("lost %v, wakes after %v", plan.Lost, plan.Wake)
	}
}

func TestFailureForbidsDisruption(t *testing.T) {
	b := &policyv1.PodDisruptionBudget{Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 3}}
	s := Failed(b, fmt.Errorf("no scale"))
	if s.DisruptionsAllowed != 0 || s.Conditions[0].Reason != policyv1.SyncFailedReason || s.Conditions[0].Message != "no scale" {
		t.Errorf("status %+v", s)
	}
}
