// Package horizontalpodautoscaler sizes scale targets by their metrics (autoscaling/v2).
package horizontalpodautoscaler

import (
	"context"
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	resourceclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"
	externalclient "k8s.io/metrics/pkg/client/external_metrics"
)

// sample is a value measured for one pod: millicores, bytes, or thousandths of a custom metric.
type sample struct {
	at     time.Time
	window time.Duration
	value  int64
}

// Source reads metrics. Values are in thousandths for everything but memory-like resources, which are whole.
type Source interface {
	// Resource returns the use of a resource by pod name; of one container only when container is not empty.
	Resource(ctx context.Context, resource v1.ResourceName, namespace string, selector labels.Selector, container string) (map[string]sample, error)
	// Pods returns a custom metric by pod name.
	Pods(metric autoscalingv2.MetricIdentifier, namespace string, selector labels.Selector) (map[string]sample, error)
	// Object returns a custom metric of one object.
	Object(metric autoscalingv2.MetricIdentifier, namespace string, object autoscalingv2.CrossVersionObjectReference) (int64, error)
	// External returns the values of an external metric.
	External(metric autoscalingv2.MetricIdentifier, namespace string) ([]int64, error)
}

// apis is a Source over the metrics APIs of the cluster, which aggregated servers serve.
type apis struct {
	resource resourceclient.PodMetricsesGetter
	custom   customclient.CustomMetricsClient
	external externalclient.ExternalMetricsClient
}

// NewSource returns a Source over metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
func NewSource(resource resourceclient.PodMetricsesGetter, custom customclient.CustomMetricsClient, external externalclient.ExternalMetricsClient) Source {
	return &apis{resource, custom, external}
}

// amount is a quantity in the unit of its resource: CPU in thousandths, all else whole.
func amount(resource v1.ResourceName, list v1.ResourceList) (int64, bool) {
	q, ok := list[resource]
	if !ok {
		return 0, false
	}
	if resource == v1.ResourceCPU {
		return q.MilliValue(), true
	}
	return q.Value() * 1000, true
}

func (a *apis) Resource(ctx context.Context, resource v1.ResourceName, namespace string, selector labels.Selector, container string) (map[string]sample, error) {
	list, err := a.resource.PodMetricses(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from resource metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("no metrics returned from resource metrics API")
	}
	samples := map[string]sample{}
	for i := range list.Items {
		if s, ok := podSample(&list.Items[i], resource, container); ok {
			samples[list.Items[i].Name] = s
		}
	}
	return samples, nil
}

// podSample adds up the containers of a pod; a pod with a container that reports nothing has no sample.
func podSample(m *metricsv1beta1.PodMetrics, resource v1.ResourceName, container string) (sample, bool) {
	s := sample{at: m.Timestamp.Time, window: m.Window.Duration}
	found := false
	for _, c := range m.Containers {
		if container != "" && c.Name != container {
			continue
		}
		n, ok := amount(resource, c.Usage)
		if !ok {
			return sample{}, false
		}
		s.value += n
		found = true
	}
	return s, found
}

func metricSelector(metric autoscalingv2.MetricIdentifier) (labels.Selector, error) {
	if metric.Selector == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(metric.Selector)
}

func (a *apis) Pods(metric autoscalingv2.MetricIdentifier, namespace string, selector labels.Selector) (map[string]sample, error) {
	of, err := metricSelector(metric)
	if err != nil {
		return nil, err
	}
	list, err := a.custom.NamespacedMetrics(namespace).GetForObjects(schema.GroupKind{Kind: "Pod"}, selector, metric.Name, of)
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("no metrics returned from custom metrics API")
	}
	samples := map[string]sample{}
	for _, m := range list.Items {
		s := sample{at: m.Timestamp.Time, window: time.Minute, value: m.Value.MilliValue()}
		if m.WindowSeconds != nil {
			s.window = time.Duration(*m.WindowSeconds) * time.Second
		}
		samples[m.DescribedObject.Name] = s
	}
	return samples, nil
}

func (a *apis) Object(metric autoscalingv2.MetricIdentifier, namespace string, object autoscalingv2.CrossVersionObjectReference) (int64, error) {
	of, err := metricSelector(metric)
	if err != nil {
		return 0, err
	}
	gv, err := schema.ParseGroupVersion(object.APIVersion)
	if err != nil {
		return 0, err
	}
	kind := schema.GroupKind{Group: gv.Group, Kind: object.Kind}
	if kind.Kind == "Namespace" && kind.Group == "" {
		value, err := a.custom.RootScopedMetrics().GetForObject(kind, namespace, metric.Name, of)
		if err != nil {
			return 0, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
		}
		return value.Value.MilliValue(), nil
	}
	value, err := a.custom.NamespacedMetrics(namespace).GetForObject(kind, object.Name, metric.Name, of)
	if err != nil {
		return 0, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
	}
	return value.Value.MilliValue(), nil
}

func (a *apis) External(metric autoscalingv2.MetricIdentifier, namespace string) ([]int64, error) {
	of, err := metricSelector(metric)
	if err != nil {
		return nil, err
	}
	list, err := a.external.NamespacedMetrics(namespace).List(metric.Name, of)
	if err != nil {
		return nil, fmt.Errorf("unable to fetch metrics from external metrics API: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("no metrics returned from external metrics API")
	}
	values := make([]int64, 0, len(list.Items))
	for _, m := range list.Items {
		values = append(values, m.Value.MilliValue())
	}
	return values, nil
}
