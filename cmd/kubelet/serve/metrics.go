package serve

import (
	"context"
	"net/http"
	"time"

	"k8s.io/component-base/metrics"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

func metricsHandler(g metrics.Gatherer) http.Handler {
	return metrics.HandlerFor(g, metrics.HandlerOpts{ErrorHandling: metrics.ContinueOnError})
}

// scraped makes a handler whose series are collected anew by each request.
func scraped(collect func(ctx context.Context) metrics.StableCollector) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		registry := metrics.NewKubeRegistry()
		registry.CustomMustRegister(collect(req.Context()))
		metricsHandler(registry).ServeHTTP(w, req)
	})
}

// collector sends the series that collect gives.
type collector struct {
	metrics.BaseStableCollector
	descriptions []*metrics.Desc
	collect      func(emit func(metrics.Metric))
}

func (c *collector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, d := range c.descriptions {
		ch <- d
	}
}

func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	c.collect(func(m metrics.Metric) { ch <- m })
}

// resourceSeries are the series of /metrics/resource, from which Metrics Server lives.
type resourceSeries struct {
	nodeCPU, nodeMemory, nodeSwap                                *metrics.Desc
	containerCPU, containerMemory, containerSwap, containerStart *metrics.Desc
	podCPU, podMemory, podSwap                                   *metrics.Desc
	scrapeError                                                  *metrics.Desc
}

func newResourceSeries() (resourceSeries, []*metrics.Desc) {
	var all []*metrics.Desc
	desc := func(name, help string, labels ...string) *metrics.Desc {
		d := metrics.NewDesc(name, help, labels, nil, metrics.STABLE, "")
		all = append(all, d)
		return d
	}
	container := []string{"container", "pod", "namespace"}
	pod := []string{"pod", "namespace"}
	return resourceSeries{
		nodeCPU:         desc("node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds"),
		nodeMemory:      desc("node_memory_working_set_bytes", "Current working set of the node in bytes"),
		nodeSwap:        desc("node_swap_usage_bytes", "Current swap usage of the node in bytes. Reported only on non-windows systems"),
		containerCPU:    desc("container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds", container...),
		containerMemory: desc("container_memory_working_set_bytes", "Current working set of the container in bytes", container...),
		containerSwap:   desc("container_swap_usage_bytes", "Current amount of the container swap usage in bytes. Reported only on non-windows systems", container...),
		containerStart:  desc("container_start_time_seconds", "Start time of the container since unix epoch in seconds", container...),
		podCPU:          desc("pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds", pod...),
		podMemory:       desc("pod_memory_working_set_bytes", "Current working set of the pod in bytes", pod...),
		podSwap:         desc("pod_swap_usage_bytes", "Current amount of the pod swap usage in bytes. Reported only on non-windows systems", pod...),
		scrapeError:     desc("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise"),
	}, all
}

// resourceMetrics answers /metrics/resource.
func (s *Server) resourceMetrics() http.Handler {
	return scraped(func(ctx context.Context) metrics.StableCollector {
		series, all := newResourceSeries()
		return &collector{descriptions: all, collect: func(emit func(metrics.Metric)) { s.collectResources(ctx, series, emit) }}
	})
}

const second = float64(time.Second)

func (s *Server) collectResources(ctx context.Context, series resourceSeries, emit func(metrics.Metric)) {
	send := func(d *metrics.Desc, kind metrics.ValueType, at int64, v float64, labels ...string) {
		emit(metrics.NewLazyMetricWithTimestamp(stamp(at).Time, metrics.NewLazyConstMetric(d, kind, v, labels...)))
	}
	fault := 0.0
	now, err := s.take(ctx)
	if err != nil {
		klog.FromContext(ctx).Error(err, "The resource metrics of containers are missing")
		fault = 1
	}
	use := s.nodeUse()
	send(series.nodeCPU, metrics.CounterValue, 0, float64(use.cpu)/second)
	send(series.nodeMemory, metrics.GaugeValue, 0, float64(use.workingSet))
	if used, _, err := s.Machine.SwapUsage(); err == nil {
		send(series.nodeSwap, metrics.GaugeValue, 0, float64(used))
	}
	cpu := func(d *metrics.Desc, c *runtimeapi.CpuUsage, labels ...string) {
		if v, ok := value(c.GetUsageCoreNanoSeconds()); ok {
			send(d, metrics.CounterValue, c.Timestamp, float64(v)/second, labels...)
		}
	}
	mem := func(d *metrics.Desc, m *runtimeapi.MemoryUsage, labels ...string) {
		if v, ok := value(m.GetWorkingSetBytes()); ok {
			send(d, metrics.GaugeValue, m.Timestamp, float64(v), labels...)
		}
	}
	for _, p := range now.pods {
		var swapped uint64
		swaps := false
		for _, c := range p.containers {
			labels := []string{c.name, p.name, p.namespace}
			if !c.started.IsZero() {
				send(series.containerStart, metrics.GaugeValue, 0, float64(c.started.UnixNano())/second, labels...)
			}
			cpu(series.containerCPU, c.stats.GetCpu(), labels...)
			mem(series.containerMemory, c.stats.GetMemory(), labels...)
			if v, ok := value(c.stats.GetSwap().GetSwapUsageBytes()); ok {
				send(series.containerSwap, metrics.GaugeValue, c.stats.Swap.Timestamp, float64(v), labels...)
				swapped, swaps = swapped+v, true
			}
		}
		cpu(series.podCPU, p.stats.Cpu, p.name, p.namespace)
		mem(series.podMemory, p.stats.Memory, p.name, p.namespace)
		if swaps {
			send(series.podSwap, metrics.GaugeValue, 0, float64(swapped), p.name, p.namespace)
		}
	}
	emit(metrics.NewLazyConstMetric(series.scrapeError, metrics.GaugeValue, fault))
}
