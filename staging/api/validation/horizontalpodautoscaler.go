package validation

import (
	"fmt"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of the scaling behaviour (KEP-853), in seconds.
const (
	maxPeriod        = 1800
	maxStabilization = 3600
)

func (v *Validator) autoscalerCreate(h *autoscalingv2.HorizontalPodAutoscaler) *faults {
	f := metadata(&h.ObjectMeta, namespaced, subdomainName)
	autoscalerSpec(f, &h.Spec, v.leastReplicas())
	return f
}

func (v *Validator) autoscalerUpdate(h, old *autoscalingv2.HorizontalPodAutoscaler) *faults {
	f := metadataUpdate(&h.ObjectMeta, &old.ObjectMeta)
	least := v.leastReplicas()
	if m := old.Spec.MinReplicas; m != nil && *m == 0 {
		least = 0
	}
	autoscalerSpec(f, &h.Spec, least)
	return f
}

func (v *Validator) leastReplicas() int32 {
	if v.NoScaleToZero {
		return 1
	}
	return 0
}

func autoscalerStatus(h, old *autoscalingv2.HorizontalPodAutoscaler) *faults {
	f := metadataUpdate(&h.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	f.notNegative(p, "currentReplicas", int64(h.Status.CurrentReplicas))
	f.notNegative(p, "desiredReplicas", int64(h.Status.DesiredReplicas))
	return f
}

// autoscalerSpec checks an autoscaler that keeps at least so many replicas: none at all needs HPAScaleToZero (KEP-2021).
func autoscalerSpec(f *faults, s *autoscalingv2.HorizontalPodAutoscalerSpec, least int32) {
	p := field.NewPath("spec")
	lower := int32(1)
	if s.MinReplicas != nil {
		lower = *s.MinReplicas
		if lower < least {
			f.invalid(p, "minReplicas", lower, fmt.Sprintf("must be greater than or equal to %d", least))
		}
	}
	if s.MaxReplicas < 1 {
		f.invalid(p, "maxReplicas", s.MaxReplicas, "must be greater than or equal to 1")
	}
	if s.MinReplicas != nil && s.MaxReplicas < lower {
		f.invalid(p, "maxReplicas", s.MaxReplicas, "must be greater than or equal to `minReplicas`")
	}
	crossReference(f, &s.ScaleTargetRef, p.Child("scaleTargetRef"))
	external := false
	for i := range s.Metrics {
		metricSpec(f, &s.Metrics[i], p.Child("metrics").Index(i))
		external = external || s.Metrics[i].Type == autoscalingv2.ObjectMetricSourceType || s.Metrics[i].Type == autoscalingv2.ExternalMetricSourceType
	}
	if lower == 0 && least == 0 && !external {
		f.forbidden(p, "metrics", "must specify at least one Object or External metric to support scaling to zero replicas")
	}
	if s.Behavior != nil {
		scalingRules(f, s.Behavior.ScaleUp, p.Child("behavior").Child("scaleUp"))
		scalingRules(f, s.Behavior.ScaleDown, p.Child("behavior").Child("scaleDown"))
	}
}

func crossReference(f *faults, r *autoscalingv2.CrossVersionObjectReference, p *field.Path) {
	if f.present(p, "kind", r.Kind) {
		f.messages(p, "kind", r.Kind, content.IsPathSegmentName(r.Kind))
	}
	if f.present(p, "name", r.Name) {
		f.messages(p, "name", r.Name, content.IsPathSegmentName(r.Name))
	}
}

func scalingRules(f *faults, r *autoscalingv2.HPAScalingRules, p *field.Path) {
	if r == nil {
		return
	}
	if s := r.StabilizationWindowSeconds; s != nil {
		f.notNegative(p, "stabilizationWindowSeconds", int64(*s))
		if *s > maxStabilization {
			f.invalid(p, "stabilizationWindowSeconds", *s, fmt.Sprintf("must be less than or equal to %d", maxStabilization))
		}
	}
	if r.SelectPolicy != nil {
		oneOf(f, p, "selectPolicy", *r.SelectPolicy, autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect)
	}
	if r.Tolerance != nil && r.Tolerance.Sign() < 0 {
		f.invalid(p, "tolerance", r.Tolerance.String(), notNegative)
	}
	if len(r.Policies) == 0 {
		f.required(p, "policies", "must specify at least one Policy")
	}
	for i, policy := range r.Policies {
		at := p.Child("policies").Index(i)
		oneOf(f, at, "type", policy.Type, autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy)
		if policy.Value <= 0 {
			f.invalid(at, "value", policy.Value, positive)
		}
		if policy.PeriodSeconds <= 0 {
			f.invalid(at, "periodSeconds", policy.PeriodSeconds, positive)
		}
		if policy.PeriodSeconds > maxPeriod {
			f.invalid(at, "periodSeconds", policy.PeriodSeconds, fmt.Sprintf("must be less than or equal to %d", maxPeriod))
		}
	}
}

func metricSpec(f *faults, m *autoscalingv2.MetricSpec, p *field.Path) {
	if m.Type == "" {
		f.required(p, "type", "must specify a metric source type")
	} else {
		oneOf(f, p, "type", m.Type, autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType,
			autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType)
	}
	expected, found := false, false
	visit := func(name string, set bool, t autoscalingv2.MetricSourceType, check func(*field.Path)) {
		if !set {
			return
		}
		if found {
			f.forbidden(p, name, "must populate the given metric source only")
			return
		}
		found = true
		expected = m.Type == t
		check(p.Child(name))
	}
	visit("object", m.Object != nil, autoscalingv2.ObjectMetricSourceType, func(at *field.Path) {
		crossReference(f, &m.Object.DescribedObject, at.Child("describedObject"))
		metricIdentifier(f, &m.Object.Metric, at.Child("metric"))
		metricTarget(f, &m.Object.Target, at.Child("target"))
		if m.Object.Target.Value == nil && m.Object.Target.AverageValue == nil {
			f.required(at.Child("target"), "averageValue", "must set either a target value or averageValue")
		}
	})
	visit("external", m.External != nil, autoscalingv2.ExternalMetricSourceType, func(at *field.Path) {
		metricIdentifier(f, &m.External.Metric, at.Child("metric"))
		metricTarget(f, &m.External.Target, at.Child("target"))
		switch t := &m.External.Target; {
		case t.Value == nil && t.AverageValue == nil:
			f.required(at.Child("target"), "averageValue", "must set either a target value for metric or a per-pod target")
		case t.Value != nil && t.AverageValue != nil:
			f.forbidden(at.Child("target"), "value", "may not set both a target value for metric and a per-pod target")
		}
	})
	visit("pods", m.Pods != nil, autoscalingv2.PodsMetricSourceType, func(at *field.Path) {
		metricIdentifier(f, &m.Pods.Metric, at.Child("metric"))
		metricTarget(f, &m.Pods.Target, at.Child("target"))
		if v := m.Pods.Target.AverageValue; v == nil || v.Sign() != 1 {
			f.required(at.Child("target"), "averageValue", "must specify a positive target averageValue")
		}
	})
	visit("resource", m.Resource != nil, autoscalingv2.ResourceMetricSourceType, func(at *field.Path) {
		if m.Resource.Name == "" {
			f.required(at, "name", "must specify a resource name")
		}
		resourceTarget(f, &m.Resource.Target, at.Child("target"))
	})
	visit("containerResource", m.ContainerResource != nil, autoscalingv2.ContainerResourceMetricSourceType, func(at *field.Path) {
		if m.ContainerResource.Name == "" {
			f.required(at, "name", "must specify a resource name")
		}
		if m.ContainerResource.Container == "" {
			f.required(at, "container", "must specify a container")
		}
		resourceTarget(f, &m.ContainerResource.Target, at.Child("target"))
	})
	if !expected && m.Type != "" {
		name := strings.ToLower(string(m.Type[:1])) + string(m.Type[1:])
		f.required(p, name, "must populate information for the given metric source")
	}
}

func metricIdentifier(f *faults, m *autoscalingv2.MetricIdentifier, p *field.Path) {
	if m.Name == "" {
		f.required(p, "name", "must specify a metric name")
		return
	}
	f.messages(p, "name", m.Name, content.IsPathSegmentName(m.Name))
}

func metricTarget(f *faults, t *autoscalingv2.MetricTarget, p *field.Path) {
	if t.Type == "" {
		f.required(p, "type", "must specify a metric target type")
	} else if t.Type != autoscalingv2.UtilizationMetricType && t.Type != autoscalingv2.ValueMetricType && t.Type != autoscalingv2.AverageValueMetricType {
		f.invalid(p, "type", t.Type, "must be either Utilization, Value, or AverageValue")
	}
	if t.Value != nil && t.Value.Sign() != 1 {
		f.invalid(p, "value", t.Value.String(), "must be positive")
	}
	if t.AverageValue != nil && t.AverageValue.Sign() != 1 {
		f.invalid(p, "averageValue", t.AverageValue.String(), "must be positive")
	}
	if t.AverageUtilization != nil && *t.AverageUtilization < 1 {
		f.invalid(p, "averageUtilization", *t.AverageUtilization, "must be greater than 0")
	}
}

func resourceTarget(f *faults, t *autoscalingv2.MetricTarget, p *field.Path) {
	metricTarget(f, t, p)
	if t.AverageUtilization == nil && t.AverageValue == nil {
		f.required(p, "averageUtilization", "must set either a target raw value or a target utilization")
	}
	if t.AverageUtilization != nil && t.AverageValue != nil {
		f.forbidden(p, "averageValue", "may not set both a target raw value and a target utilization")
	}
}

// scaleUpdate checks the scale subresource of any kind.
func scaleUpdate(s *autoscalingv1.Scale) *faults {
	f := metadata(&s.ObjectMeta, namespaced, subdomainName)
	f.notNegative(field.NewPath("spec"), "replicas", int64(s.Spec.Replicas))
	return f
}
