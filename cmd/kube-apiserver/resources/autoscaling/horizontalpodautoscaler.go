package autoscaling

import (
	"fmt"
	"strconv"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// HorizontalPodAutoscalers declares horizontalpodautoscalers. The hub and stored version is v2.
func HorizontalPodAutoscalers() *kind.Kind[*autoscalingv2.HorizontalPodAutoscaler] {
	type T = *autoscalingv2.HorizontalPodAutoscaler
	return &kind.Kind[T]{
		Group: "autoscaling", Versions: []string{"v2", "v1"}, Resource: "horizontalpodautoscalers", Singular: "horizontalpodautoscaler",
		ShortNames: []string{"hpa"}, Categories: []string{"all"},
		Generation: true,
		New:        func() T { return &autoscalingv2.HorizontalPodAutoscaler{} },
		NewList:    func() runtime.Object { return &autoscalingv2.HorizontalPodAutoscalerList{} },
		Spec:       kind.Field(func(h T) *autoscalingv2.HorizontalPodAutoscalerSpec { return &h.Spec }),
		Status:     kind.Field(func(h T) *autoscalingv2.HorizontalPodAutoscalerStatus { return &h.Status }),
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Reference", func(h T) string { return h.Spec.ScaleTargetRef.Kind + "/" + h.Spec.ScaleTargetRef.Name }),
			kind.Text("Targets", targets),
			kind.Text("MinPods", func(h T) string {
				if h.Spec.MinReplicas == nil {
					return "<unset>"
				}
				return strconv.Itoa(int(*h.Spec.MinReplicas))
			}),
			kind.Number("MaxPods", func(h T) int32 { return h.Spec.MaxReplicas }),
			kind.Number("Replicas", func(h T) int32 { return h.Status.CurrentReplicas }),
			kind.Age[T](),
		},
	}
}

// targets prints "cpu: 10%/80%" of each metric: what is and what should be. At most two are shown.
func targets(h *autoscalingv2.HorizontalPodAutoscaler) string {
	if len(h.Spec.Metrics) == 0 {
		return "<none>"
	}
	const most = 2
	var shown []string
	for i := range h.Spec.Metrics {
		if i == most {
			return fmt.Sprintf("%s + %d more...", strings.Join(shown, ", "), len(h.Spec.Metrics)-most)
		}
		var current *autoscalingv2.MetricStatus
		if i < len(h.Status.CurrentMetrics) {
			current = &h.Status.CurrentMetrics[i]
		}
		shown = append(shown, target(&h.Spec.Metrics[i], current))
	}
	return strings.Join(shown, ", ")
}

func target(m *autoscalingv2.MetricSpec, current *autoscalingv2.MetricStatus) string {
	var now *autoscalingv2.MetricValueStatus
	switch {
	case m.Resource != nil:
		if current != nil && current.Resource != nil {
			now = &current.Resource.Current
		}
		return string(m.Resource.Name) + ": " + valueOfTarget(&m.Resource.Target, now)
	case m.ContainerResource != nil:
		if current != nil && current.ContainerResource != nil {
			now = &current.ContainerResource.Current
		}
		return string(m.ContainerResource.Name) + ": " + valueOfTarget(&m.ContainerResource.Target, now)
	case m.Pods != nil:
		if current != nil && current.Pods != nil {
			now = &current.Pods.Current
		}
		return valueOfTarget(&m.Pods.Target, now)
	case m.Object != nil:
		if current != nil && current.Object != nil {
			now = &current.Object.Current
		}
		return valueOfTarget(&m.Object.Target, now)
	case m.External != nil:
		if current != nil && current.External != nil {
			now = &current.External.Current
		}
		return valueOfTarget(&m.External.Target, now)
	}
	return "<unknown type>"
}

func valueOfTarget(t *autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	current := "<unknown>"
	switch {
	case t.AverageUtilization != nil:
		if now != nil && now.AverageUtilization != nil {
			current = fmt.Sprintf("%d%%", *now.AverageUtilization)
		}
		return fmt.Sprintf("%s/%d%%", current, *t.AverageUtilization)
	case t.AverageValue != nil:
		if now != nil && now.AverageValue != nil {
			current = now.AverageValue.String()
		}
		return fmt.Sprintf("%s/%s (avg)", current, t.AverageValue.String())
	case t.Value != nil:
		if now != nil && now.Value != nil {
			current = now.Value.String()
		}
		return fmt.Sprintf("%s/%s", current, t.Value.String())
	}
	return current + "/<auto>"
}
