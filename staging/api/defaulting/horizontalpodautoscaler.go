package defaulting

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

// HorizontalPodAutoscalerV1 fills an autoscaler of version v1. Its metrics are known, and filled, only in v2.
func HorizontalPodAutoscalerV1(h *autoscalingv1.HorizontalPodAutoscaler) {
	pointer(&h.Spec.MinReplicas, 1)
}

// HorizontalPodAutoscaler fills an autoscaler. Without metrics it holds CPU at 80 % of the requests.
func HorizontalPodAutoscaler(h *autoscalingv2.HorizontalPodAutoscaler) {
	pointer(&h.Spec.MinReplicas, 1)
	if len(h.Spec.Metrics) == 0 {
		percent := int32(80)
		h.Spec.Metrics = []autoscalingv2.MetricSpec{{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
			},
		}}
	}
	if b := h.Spec.Behavior; b != nil {
		scaleUp(b)
		scaleDown(b)
	}
}

func scaleUp(b *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	pointer(&b.ScaleUp, autoscalingv2.HPAScalingRules{})
	pointer(&b.ScaleUp.StabilizationWindowSeconds, 0)
	pointer(&b.ScaleUp.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if b.ScaleUp.Policies == nil {
		b.ScaleUp.Policies = []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15},
			{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
		}
	}
}

// scaleDown leaves the stabilization window open: it is the controller manager's.
func scaleDown(b *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	pointer(&b.ScaleDown, autoscalingv2.HPAScalingRules{})
	pointer(&b.ScaleDown.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if b.ScaleDown.Policies == nil {
		b.ScaleDown.Policies = []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
		}
	}
}
