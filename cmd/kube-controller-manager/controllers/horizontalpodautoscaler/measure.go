package horizontalpodautoscaler

import (
	"context"
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// measurement is what one metric says.
type measurement struct {
	replicas   int32
	name       string // as in events: "cpu resource utilization (percentage of request)"
	status     autoscalingv2.MetricStatus
	failReason string
}

func (l *look) measure(ctx context.Context, spec autoscalingv2.MetricSpec, list []*v1.Pod, selector labels.Selector) (measurement, error) {
	switch spec.Type {
	case autoscalingv2.ResourceMetricSourceType:
		return l.measureResource(ctx, spec.Resource.Name, "", spec.Resource.Target, list, selector)
	case autoscalingv2.ContainerResourceMetricSourceType:
		return l.measureResource(ctx, spec.ContainerResource.Name, spec.ContainerResource.Container, spec.ContainerResource.Target, list, selector)
	case autoscalingv2.PodsMetricSourceType:
		return l.measurePods(spec.Pods, list, selector)
	case autoscalingv2.ObjectMetricSourceType:
		return l.measureObject(spec.Object, list)
	case autoscalingv2.ExternalMetricSourceType:
		return l.measureExternal(spec.External, list)
	}
	return measurement{failReason: "InvalidMetricSourceType"}, fmt.Errorf("unknown metric source type %q", spec.Type)
}

// source names in texts where a metric comes from.
func source(spec autoscalingv2.MetricSpec) string {
	switch spec.Type {
	case autoscalingv2.ResourceMetricSourceType:
		return string(spec.Resource.Name) + " resource"
	case autoscalingv2.ContainerResourceMetricSourceType:
		return spec.ContainerResource.Container + " container"
	}
	return strings.ToLower(string(spec.Type))
}

func (l *look) timing() timing {
	return timing{l.now, l.CPUInitializationPeriod, l.InitialReadinessDelay}
}

// quantity turns thousandths into a quantity; memory-like resources come out as whole numbers.
func quantity(r v1.ResourceName, n int64) *resource.Quantity {
	if r == v1.ResourceMemory || r == v1.ResourceEphemeralStorage {
		return resource.NewQuantity(n/1000, resource.BinarySI)
	}
	return resource.NewMilliQuantity(n, resource.DecimalSI)
}

func (l *look) measureResource(ctx context.Context, name v1.ResourceName, container string, target autoscalingv2.MetricTarget, list []*v1.Pod, selector labels.Selector) (measurement, error) {
	m := measurement{failReason: "FailedGetResourceMetric"}
	if container != "" {
		m.failReason = "FailedGetContainerResourceMetric"
	}
	samples, err := l.source.Resource(ctx, name, l.hpa.Namespace, selector, container)
	if err != nil {
		wanted := "utilization"
		if target.AverageValue != nil {
			wanted = "usage"
		}
		return m, fmt.Errorf("failed to get %s %s: unable to get metrics for resource %s: %w", name, wanted, name, err)
	}
	sort := sortPods(list, samples, name, l.timing())
	current := autoscalingv2.MetricValueStatus{}
	var average int64
	if target.AverageValue != nil {
		goal := target.AverageValue.MilliValue()
		m.name = fmt.Sprintf("%s resource", name)
		m.replicas, err = replicasFor(l.scale.Spec.Replicas, sort, samples, l.tol, averageValue(goal, &average), func(string) int64 { return goal })
	} else {
		if target.AverageUtilization == nil {
			return m, fmt.Errorf("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")
		}
		m.name = fmt.Sprintf("%s resource utilization (percentage of request)", name)
		requests, reqErr := requestsOf(list, name, container)
		if reqErr != nil {
			return m, fmt.Errorf("failed to get %s utilization: %w", name, reqErr)
		}
		var found int32
		goal := *target.AverageUtilization
		first := utilization(requests, goal, &found, &average)
		// The status shows what was measured, not what was assumed for pods without a sample.
		var shown, shownAverage int64
		measured := false
		ratio := func(s map[string]sample) (float64, error) {
			r, err := first(s)
			if !measured {
				shown, shownAverage, measured = int64(found), average, true
			}
			return r, err
		}
		m.replicas, err = replicasFor(l.scale.Spec.Replicas, sort, samples, l.tol, ratio, func(pod string) int64 { return requests[pod] * int64(max(100, goal)) / 100 })
		average = shownAverage
		percent := int32(shown)
		current.AverageUtilization = &percent
	}
	if err != nil {
		return m, fmt.Errorf("failed to get %s utilization: %w", name, err)
	}
	current.AverageValue = quantity(name, average)
	if container != "" {
		m.name = fmt.Sprintf("%s container resource utilization (percentage of request)", name)
		m.status = autoscalingv2.MetricStatus{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricStatus{Name: name, Container: container, Current: current}}
		return m, nil
	}
	m.status = autoscalingv2.MetricStatus{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricStatus{Name: name, Current: current}}
	return m, nil
}

func (l *look) measurePods(spec *autoscalingv2.PodsMetricSource, list []*v1.Pod, selector labels.Selector) (measurement, error) {
	m := measurement{failReason: "FailedGetPodsMetric", name: "pods metric " + spec.Metric.Name}
	if spec.Target.AverageValue == nil {
		return m, fmt.Errorf("invalid pods metric source: no target average value")
	}
	samples, err := l.source.Pods(spec.Metric, l.hpa.Namespace, selector)
	if err != nil {
		return m, fmt.Errorf("unable to get metric %s: %w", spec.Metric.Name, err)
	}
	goal := spec.Target.AverageValue.MilliValue()
	var average int64
	m.replicas, err = replicasFor(l.scale.Spec.Replicas, sortPods(list, samples, "", l.timing()), samples, l.tol, averageValue(goal, &average), func(string) int64 { return goal })
	if err != nil {
		return m, err
	}
	m.status = autoscalingv2.MetricStatus{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricStatus{
		Metric: spec.Metric, Current: autoscalingv2.MetricValueStatus{AverageValue: quantity("", average)},
	}}
	return m, nil
}

func ready(list []*v1.Pod) int {
	return len(pods.Select(list, func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning && pods.Ready(p) }))
}

// total computes the size for a value that is not measured by pod, and how the status shows the value.
func (l *look) total(value int64, target autoscalingv2.MetricTarget, list []*v1.Pod) (int32, autoscalingv2.MetricValueStatus, error) {
	switch {
	case target.Value != nil:
		return ofTotal(l.scale.Spec.Replicas, ready(list), value, target.Value.MilliValue(), false, l.tol), autoscalingv2.MetricValueStatus{Value: quantity("", value)}, nil
	case target.AverageValue != nil:
		shown := value
		if n := int64(l.scale.Status.Replicas); n > 0 {
			shown = (value + n - 1) / n
		}
		return ofTotal(l.scale.Status.Replicas, 0, value, target.AverageValue.MilliValue(), true, l.tol), autoscalingv2.MetricValueStatus{AverageValue: quantity("", shown)}, nil
	}
	return 0, autoscalingv2.MetricValueStatus{}, fmt.Errorf("neither a value target nor an average value target was set")
}

func (l *look) measureObject(spec *autoscalingv2.ObjectMetricSource, list []*v1.Pod) (measurement, error) {
	m := measurement{failReason: "FailedGetObjectMetric", name: fmt.Sprintf("%s metric %s", spec.DescribedObject.Kind, spec.Metric.Name)}
	value, err := l.source.Object(spec.Metric, l.hpa.Namespace, spec.DescribedObject)
	if err != nil {
		return m, err
	}
	replicas, shown, err := l.total(value, spec.Target, list)
	if err != nil {
		return m, fmt.Errorf("invalid object metric source: %w", err)
	}
	m.replicas = replicas
	m.status = autoscalingv2.MetricStatus{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricStatus{
		Metric: spec.Metric, DescribedObject: spec.DescribedObject, Current: shown,
	}}
	return m, nil
}

func (l *look) measureExternal(spec *autoscalingv2.ExternalMetricSource, list []*v1.Pod) (measurement, error) {
	m := measurement{failReason: "FailedGetExternalMetric", name: fmt.Sprintf("external metric %s", spec.Metric.Name)}
	values, err := l.source.External(spec.Metric, l.hpa.Namespace)
	if err != nil {
		return m, fmt.Errorf("failed to get %s external metric: unable to get external metric %s/%s/%+v: %w", spec.Metric.Name, l.hpa.Namespace, spec.Metric.Name, spec.Metric.Selector, err)
	}
	var sum int64
	for _, v := range values {
		sum += v
	}
	replicas, shown, err := l.total(sum, spec.Target, list)
	if err != nil {
		return m, fmt.Errorf("invalid external metric source: %w", err)
	}
	m.replicas = replicas
	m.status = autoscalingv2.MetricStatus{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricStatus{Metric: spec.Metric, Current: shown}}
	return m, nil
}
