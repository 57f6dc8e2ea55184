package horizontalpodautoscaler

import (
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestConditionsAreOfAGeneration: a user sees which spec a condition was computed for.
func TestConditionsAreOfAGeneration(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := &look{hpa: &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Generation: 3}}, now: begin}
	l.set(autoscalingv2.AbleToScale, v1.ConditionTrue, "SucceededGetScale", "")
	l.hpa.Generation, l.now = 4, begin.Add(time.Minute)
	l.set(autoscalingv2.AbleToScale, v1.ConditionTrue, "SucceededRescale", "")
	c := l.status.Conditions[0]
	if len(l.status.Conditions) != 1 || c.ObservedGeneration == nil || *c.ObservedGeneration != 4 {
		t.Errorf("the conditions are %v, want one of generation 4", l.status.Conditions)
	}
	if !c.LastTransitionTime.Time.Equal(begin) {
		t.Errorf("the condition is said to have changed at %v, it did at %v", c.LastTransitionTime, begin)
	}
}
