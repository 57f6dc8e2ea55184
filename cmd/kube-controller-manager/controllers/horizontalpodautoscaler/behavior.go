package horizontalpodautoscaler

import (
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// memory is what an autoscaler remembers between two looks at the metrics.
type memory struct {
	hpa             types.NamespacedName
	selector        labels.Selector // of the target's pods
	recommendations []moment
	ups, downs      []moment // changes of size that were made
}

type moment struct {
	at time.Time
	n  int32
}

func (m *memory) forget(before time.Time) {
	for _, list := range []*[]moment{&m.recommendations, &m.ups, &m.downs} {
		kept := (*list)[:0]
		for _, e := range *list {
			if !e.at.Before(before) {
				kept = append(kept, e)
			}
		}
		*list = kept
	}
}

func sumSince(list []moment, since time.Time) int32 {
	var n int32
	for _, e := range list {
		if e.at.After(since) {
			n += e.n
		}
	}
	return n
}

// rules returns the scaling rules of an autoscaler with the documented defaults (KEP-853) for what it leaves open.
func rules(hpa *autoscalingv2.HorizontalPodAutoscaler, downWindow time.Duration, tol float64) (up, down autoscalingv2.HPAScalingRules, t tolerance) {
	const period = 15
	maxChange := autoscalingv2.MaxChangePolicySelect
	up = autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](0), SelectPolicy: &maxChange, Policies: []autoscalingv2.HPAScalingPolicy{
		{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: period}, {Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: period},
	}}
	down = autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To(int32(downWindow.Seconds())), SelectPolicy: &maxChange, Policies: []autoscalingv2.HPAScalingPolicy{
		{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: period},
	}}
	t = tolerance{tol, tol}
	if hpa.Spec.Behavior == nil {
		return up, down, t
	}
	merge := func(into *autoscalingv2.HPAScalingRules, from *autoscalingv2.HPAScalingRules, tol *float64) {
		if from == nil {
			return
		}
		if from.StabilizationWindowSeconds != nil {
			into.StabilizationWindowSeconds = from.StabilizationWindowSeconds
		}
		if from.SelectPolicy != nil {
			into.SelectPolicy = from.SelectPolicy
		}
		if len(from.Policies) > 0 {
			into.Policies = from.Policies
		}
		if from.Tolerance != nil {
			*tol = from.Tolerance.AsApproximateFloat64()
		}
	}
	merge(&up, hpa.Spec.Behavior.ScaleUp, &t.up)
	merge(&down, hpa.Spec.Behavior.ScaleDown, &t.down)
	return up, down, t
}

// limiter applies the rules to a recommendation.
type limiter struct {
	hpa      *autoscalingv2.HorizontalPodAutoscaler
	up, down autoscalingv2.HPAScalingRules
	memory   *memory
	now      time.Time
	set      func(t autoscalingv2.HorizontalPodAutoscalerConditionType, status v1.ConditionStatus, reason, message string)
}

func window(r autoscalingv2.HPAScalingRules) time.Duration {
	return time.Duration(ptr.Deref(r.StabilizationWindowSeconds, 0)) * time.Second
}

// apply returns the size to set: the recommendation, held by the stabilization windows, by the policies, and by the bounds.
func (l *limiter) apply(current, recommended int32) int32 {
	stable := l.stabilize(current, recommended)
	switch {
	case stable != recommended && stable < recommended:
		l.set(autoscalingv2.AbleToScale, v1.ConditionTrue, "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation")
	case stable != recommended:
		l.set(autoscalingv2.AbleToScale, v1.ConditionTrue, "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")
	default:
		l.set(autoscalingv2.AbleToScale, v1.ConditionTrue, "ReadyForNewScale", "recommended size matches current size")
	}
	size, reason, message := l.bound(current, stable)
	if reason == "" {
		l.set(autoscalingv2.ScalingLimited, v1.ConditionFalse, "DesiredWithinRange", "the desired count is within the acceptable range")
	} else {
		l.set(autoscalingv2.ScalingLimited, v1.ConditionTrue, reason, message)
	}
	return size
}

// stabilize goes up only as far as the lowest, and down only as far as the highest recommendation of its window.
func (l *limiter) stabilize(current, recommended int32) int32 {
	lowest, highest := recommended, recommended
	for _, r := range l.memory.recommendations {
		if r.at.After(l.now.Add(-window(l.up))) {
			lowest = min(lowest, r.n)
		}
		if r.at.After(l.now.Add(-window(l.down))) {
			highest = max(highest, r.n)
		}
	}
	l.memory.recommendations = append(l.memory.recommendations, moment{l.now, recommended})
	return min(max(current, lowest), highest)
}

func (l *limiter) bound(current, wanted int32) (size int32, reason, message string) {
	least := ptr.Deref(l.hpa.Spec.MinReplicas, 1)
	most := l.hpa.Spec.MaxReplicas
	switch {
	case wanted > current:
		limit := max(current, l.limit(l.up, current, true))
		if wanted > min(limit, most) {
			if limit < most {
				return limit, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"
			}
			return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
		}
	case wanted < current:
		limit := min(current, l.limit(l.down, current, false))
		if wanted < max(limit, least) {
			if limit > least {
				return limit, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"
			}
			return least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
		}
	case wanted > most:
		return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
	case wanted < least:
		return least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
	}
	return wanted, "", ""
}

// limit is the furthest size that the policies of one direction allow now.
func (l *limiter) limit(r autoscalingv2.HPAScalingRules, current int32, up bool) int32 {
	choose := ptr.Deref(r.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if choose == autoscalingv2.DisabledPolicySelect {
		return current
	}
	furthest := (choose == autoscalingv2.MaxChangePolicySelect) == up // take the higher number
	var result *int32
	for _, p := range r.Policies {
		since := l.now.Add(-time.Duration(p.PeriodSeconds) * time.Second)
		before := current - sumSince(l.memory.ups, since) + sumSince(l.memory.downs, since)
		change := float64(p.Value)
		if p.Type == autoscalingv2.PercentScalingPolicy {
			change = float64(before) * float64(p.Value) / 100
		}
		var n int32
		if up {
			n = int32(math.Ceil(float64(before) + change))
		} else {
			n = int32(math.Ceil(float64(before) - change))
			if p.Type == autoscalingv2.PercentScalingPolicy {
				n = int32(float64(before) - change)
			}
		}
		if result == nil || (n > *result) == furthest {
			result = &n
		}
	}
	if result == nil {
		return current
	}
	return *result
}
