package horizontalpodautoscaler

import (
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func pod(name string, phase v1.PodPhase, ready bool, age time.Duration) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Containers = []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("100m")}}}}
	p.Status.Phase = phase
	p.Status.StartTime = ptr.To(metav1.NewTime(now.Add(-age)))
	status := v1.ConditionFalse
	if ready {
		status = v1.ConditionTrue
	}
	p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(now.Add(-age).Add(10 * time.Second))}}
	return p
}

// cpu computes the size for a CPU target in percent; use holds millicores by pod, -1 for no sample.
func cpu(current int32, target int32, list []*v1.Pod, use map[string]int64) (int32, error) {
	samples := map[string]sample{}
	for name, n := range use {
		if n >= 0 {
			samples[name] = sample{at: now, window: time.Minute, value: n}
		}
	}
	requests, err := requestsOf(list, v1.ResourceCPU, "")
	if err != nil {
		return 0, err
	}
	s := sortPods(list, samples, v1.ResourceCPU, timing{now, 5 * time.Minute, 30 * time.Second})
	var found int32
	var average int64
	return replicasFor(current, s, samples, tolerance{0.1, 0.1}, utilization(requests, target, &found, &average), func(p string) int64 { return requests[p] })
}

func TestReplicasForCPU(t *testing.T) {
	old := time.Hour
	three := []*v1.Pod{pod("a", v1.PodRunning, true, old), pod("b", v1.PodRunning, true, old), pod("c", v1.PodRunning, true, old)}
	for _, c := range []struct {
		why     string
		list    []*v1.Pod
		use     map[string]int64
		target  int32
		current int32
		want    int32
	}{
		{"double load", three, map[string]int64{"a": 100, "b": 100, "c": 100}, 50, 3, 6},
		{"half load", three, map[string]int64{"a": 25, "b": 25, "c": 25}, 50, 3, 2},
		{"within tolerance", three, map[string]int64{"a": 54, "b": 52, "c": 50}, 50, 3, 3},
		{"a missing sample counts as nothing on the way up", three, map[string]int64{"a": 100, "b": 100, "c": -1}, 50, 3, 4},
		{"a missing sample counts as everything on the way down", three, map[string]int64{"a": 10, "b": 10, "c": -1}, 50, 3, 3},
		{"a pending pod damps growth", []*v1.Pod{three[0], three[1], pod("c", v1.PodPending, false, 0)}, map[string]int64{"a": 100, "b": 100}, 50, 3, 4},
		{"a warming pod's CPU is not believed", []*v1.Pod{three[0], three[1], pod("c", v1.PodRunning, true, 20*time.Second)}, map[string]int64{"a": 50, "b": 50, "c": 900}, 50, 3, 3},
		{"a failed pod does not count", []*v1.Pod{three[0], three[1], pod("c", v1.PodFailed, false, old)}, map[string]int64{"a": 100, "b": 100, "c": 999}, 50, 2, 4},
	} {
		got, err := cpu(c.current, c.target, c.list, c.use)
		if err != nil || got != c.want {
			t.Errorf("%s: %d, error %v; want %d", c.why, got, err, c.want)
		}
	}
	if _, err := cpu(3, 50, three, nil); err == nil {
		t.Error("no error without any metrics")
	}
	three[0].Spec.Containers[0].Resources.Requests = nil
	if _, err := cpu(3, 50, three, map[string]int64{"a": 1}); err == nil {
		t.Error("no error for a container without a request")
	}
}

func TestTheAverageIsTheMeasuredOne(t *testing.T) {
	list := []*v1.Pod{pod("a", v1.PodRunning, true, time.Hour), pod("b", v1.PodRunning, true, time.Hour)}
	samples := map[string]sample{"a": {at: now, window: time.Minute, value: 300}}
	s := sortPods(list, samples, "", timing{now, 5 * time.Minute, 30 * time.Second})
	var average int64
	wanted, err := replicasFor(2, s, samples, tolerance{0.1, 0.1}, averageValue(100, &average), func(string) int64 { return 100 })
	if err != nil || wanted != 3 || average != 300 {
		t.Errorf("%d replicas at an average of %d (%v); want 3, with the pod without a sample as idle, at the 300 that were measured", wanted, average, err)
	}
}

func TestOfTotal(t *testing.T) {
	tol := tolerance{0.1, 0.1}
	for _, c := range []struct {
		current       int32
		ready         int
		value, target int64
		average       bool
		want          int32
	}{
		{3, 3, 200, 100, false, 6}, {3, 3, 105, 100, false, 3}, {0, 0, 350, 100, false, 4}, {3, 2, 50, 100, false, 1},
		{4, 0, 800, 100, true, 8}, {4, 0, 410, 100, true, 4}, {4, 0, 100, 100, true, 1}, {0, 0, 250, 100, true, 3},
	} {
		if got := ofTotal(c.current, c.ready, c.value, c.target, c.average, tol); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func hpa(behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: ptr.To[int32](2), MaxReplicas: 50, Behavior: behavior}}
}

func newLimiter(h *autoscalingv2.HorizontalPodAutoscaler, m *memory, reasons map[autoscalingv2.HorizontalPodAutoscalerConditionType]string) *limiter {
	up, down, _ := rules(h, 5*time.Minute, 0.1)
	return &limiter{hpa: h, up: up, down: down, memory: m, now: now, set: func(t autoscalingv2.HorizontalPodAutoscalerConditionType, _ v1.ConditionStatus, reason, _ string) {
		reasons[t] = reason
	}}
}

func TestLimits(t *testing.T) {
	policies := func(choose autoscalingv2.ScalingPolicySelect, list ...autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
		return &autoscalingv2.HPAScalingRules{SelectPolicy: &choose, Policies: list, StabilizationWindowSeconds: ptr.To[int32](0)}
	}
	pods := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 3, PeriodSeconds: 60}
	percent := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 10, PeriodSeconds: 60}
	ago := func(d time.Duration, n int32) []moment { return []moment{{now.Add(-d), n}} }
	for _, c := range []struct {
		why           string
		behavior      *autoscalingv2.HorizontalPodAutoscalerBehavior
		memory        memory
		current, want int32
		size          int32
		able, limited string
	}{
		{"default up: 4 pods or double", nil, memory{}, 3, 40, 7, "ReadyForNewScale", "ScaleUpLimit"},
		{"default up: double", nil, memory{}, 10, 40, 20, "ReadyForNewScale", "ScaleUpLimit"},
		{"upper bound", nil, memory{}, 40, 90, 50, "ReadyForNewScale", "TooManyReplicas"},
		{"lower bound", nil, memory{}, 4, 1, 2, "ReadyForNewScale", "TooFewReplicas"},
		{"down waits for its window", nil, memory{recommendations: ago(4*time.Minute, 9)}, 9, 3, 9, "ScaleDownStabilized", "DesiredWithinRange"},
		{"down after its window", nil, memory{recommendations: ago(6*time.Minute, 9)}, 9, 3, 3, "ReadyForNewScale", "DesiredWithinRange"},
		{"up by pods", &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: policies(autoscalingv2.MinChangePolicySelect, pods, percent)}, memory{}, 20, 40, 22, "ReadyForNewScale", "ScaleUpLimit"},
		{"up by the larger", &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: policies(autoscalingv2.MaxChangePolicySelect, pods, percent)}, memory{}, 20, 40, 23, "ReadyForNewScale", "ScaleUpLimit"},
		{"the period's changes count", &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: policies(autoscalingv2.MaxChangePolicySelect, pods)}, memory{ups: ago(30*time.Second, 2)}, 20, 40, 21, "ReadyForNewScale", "ScaleUpLimit"},
		{"down by the larger", &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: policies(autoscalingv2.MaxChangePolicySelect, pods, percent)}, memory{}, 20, 5, 17, "ReadyForNewScale", "ScaleDownLimit"},
		{"down by the smaller", &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: policies(autoscalingv2.MinChangePolicySelect, pods, percent)}, memory{}, 20, 5, 18, "ReadyForNewScale", "ScaleDownLimit"},
		{"down disabled", &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: policies(autoscalingv2.DisabledPolicySelect)}, memory{}, 20, 5, 20, "ReadyForNewScale", "ScaleDownLimit"},
	} {
		reasons := map[autoscalingv2.HorizontalPodAutoscalerConditionType]string{}
		got := newLimiter(hpa(c.behavior), &c.memory, reasons).apply(c.current, c.want)
		if got != c.size || reasons[autoscalingv2.AbleToScale] != c.able || reasons[autoscalingv2.ScalingLimited] != c.limited {
			t.Errorf("%s: %d, reasons %v; want %d, %s, %s", c.why, got, reasons, c.size, c.able, c.limited)
		}
	}
}

func FuzzLimiter(f *testing.F) {
	f.Add(int32(3), int32(9), int32(4), int32(100), uint8(1))
	f.Fuzz(func(t *testing.T, current, wanted, value, percent int32, choose uint8) {
		if current < 2 || current > 50 || wanted < 0 || wanted > 10000 || value < 1 || value > 1000 || percent < 1 || percent > 1000 {
			return
		}
		selects := []autoscalingv2.ScalingPolicySelect{autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect}
		rule := autoscalingv2.HPAScalingRules{SelectPolicy: &selects[int(choose)%3], StabilizationWindowSeconds: ptr.To[int32](0), Policies: []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PodsScalingPolicy, Value: value, PeriodSeconds: 15}, {Type: autoscalingv2.PercentScalingPolicy, Value: percent, PeriodSeconds: 15},
		}}
		got := newLimiter(hpa(&autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &rule, ScaleDown: &rule}), &memory{}, map[autoscalingv2.HorizontalPodAutoscalerConditionType]string{}).apply(current, wanted)
		if got < 2 || got > 50 {
			t.Fatalf("size %d is out of bounds", got)
		}
		if (got > current) != (got != current && wanted > current) {
			t.Fatalf("from %d, wanted %d: went to %d", current, wanted, got)
		}
	})
}
