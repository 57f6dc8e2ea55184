package serve

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-base/metrics"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// containerMetrics answers /metrics/cadvisor: the container_ and machine_ series that dashboards read, under the names
// and labels that cAdvisor gave them.
func (s *Server) containerMetrics() http.Handler {
	return scraped(func(ctx context.Context) metrics.StableCollector {
		series, all := newContainerSeries()
		return &collector{descriptions: all, collect: func(emit func(metrics.Metric)) { s.collectContainers(ctx, series, emit) }}
	})
}

// containerSeries are the series by what they measure.
type containerSeries struct {
	cpu, memory, workingSet, rss, faults, swap, fsUsage, fsInodes, start, seen *metrics.Desc
	specShares, specQuota, specPeriod, specMemory, specReservation             *metrics.Desc
	processes, rxBytes, rxErrors, txBytes, txErrors                            *metrics.Desc
	machineCores, machineMemory, scrapeError                                   *metrics.Desc
}

func newContainerSeries() (containerSeries, []*metrics.Desc) {
	var all []*metrics.Desc
	base := []string{"container", "id", "image", "name", "namespace", "pod"}
	desc := func(name, help string, extra ...string) *metrics.Desc {
		d := metrics.NewDesc(name, help, append(append([]string{}, base...), extra...), nil, metrics.ALPHA, "")
		all = append(all, d)
		return d
	}
	plain := func(name, help string, labels ...string) *metrics.Desc {
		d := metrics.NewDesc(name, help, labels, nil, metrics.ALPHA, "")
		all = append(all, d)
		return d
	}
	return containerSeries{
		cpu:             desc("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", "cpu"),
		memory:          desc("container_memory_usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed"),
		workingSet:      desc("container_memory_working_set_bytes", "Current working set in bytes."),
		rss:             desc("container_memory_rss", "Size of RSS in bytes."),
		faults:          desc("container_memory_failures_total", "Cumulative count of memory allocation failures.", "failure_type", "scope"),
		swap:            desc("container_memory_swap", "Container swap usage in bytes."),
		fsUsage:         desc("container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", "device"),
		fsInodes:        desc("container_fs_inodes_used", "Number of inodes that the container uses on this filesystem.", "device"),
		start:           desc("container_start_time_seconds", "Start time of the container since unix epoch in seconds."),
		seen:            desc("container_last_seen", "Last time a container was seen by the exporter"),
		specShares:      desc("container_spec_cpu_shares", "CPU share of the container."),
		specQuota:       desc("container_spec_cpu_quota", "CPU quota of the container."),
		specPeriod:      desc("container_spec_cpu_period", "CPU period of the container."),
		specMemory:      desc("container_spec_memory_limit_bytes", "Memory limit for the container."),
		specReservation: desc("container_spec_memory_reservation_limit_bytes", "Memory reservation limit for the container."),
		processes:       desc("container_processes", "Number of processes running inside the container."),
		rxBytes:         desc("container_network_receive_bytes_total", "Cumulative count of bytes received", "interface"),
		rxErrors:        desc("container_network_receive_errors_total", "Cumulative count of errors encountered while receiving", "interface"),
		txBytes:         desc("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", "interface"),
		txErrors:        desc("container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting", "interface"),
		machineCores:    plain("machine_cpu_cores", "Number of logical CPU cores.", "boot_id", "machine_id", "system_uuid"),
		machineMemory:   plain("machine_memory_bytes", "Amount of memory installed on the machine.", "boot_id", "machine_id", "system_uuid"),
		scrapeError:     plain("container_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise"),
	}, all
}

// emitter sends series of one container or pod.
type emitter struct {
	emit   func(metrics.Metric)
	labels []string
}

func (e emitter) send(d *metrics.Desc, kind metrics.ValueType, at int64, v float64, extra ...string) {
	m := metrics.NewLazyConstMetric(d, kind, v, append(append([]string{}, e.labels...), extra...)...)
	emitAt(e.emit, m, at)
}

func emitAt(emit func(metrics.Metric), m metrics.Metric, at int64) {
	if at == 0 {
		emit(m)
		return
	}
	emit(metrics.NewLazyMetricWithTimestamp(stamp(at).Time, m))
}

func (e emitter) maybe(d *metrics.Desc, kind metrics.ValueType, at int64, v *runtimeapi.UInt64Value, extra ...string) {
	if n, ok := value(v); ok {
		e.send(d, kind, at, float64(n), extra...)
	}
}

func (s *Server) collectContainers(ctx context.Context, series containerSeries, emit func(metrics.Metric)) {
	fault := 0.0
	now, err := s.take(ctx)
	if err != nil {
		klog.FromContext(ctx).Error(err, "The metrics of containers are missing")
		fault = 1
	}
	emit(metrics.NewLazyConstMetric(series.scrapeError, metrics.GaugeValue, fault))
	if info, err := s.Machine.Read(); err == nil {
		emit(metrics.NewLazyConstMetric(series.machineCores, metrics.GaugeValue, float64(info.CPUs), info.BootID, info.MachineID, info.SystemUUID))
		emit(metrics.NewLazyConstMetric(series.machineMemory, metrics.GaugeValue, float64(info.Memory), info.BootID, info.MachineID, info.SystemUUID))
	}
	use := s.nodeUse()
	root := emitter{emit, []string{"", "/", "", "", "", ""}}
	root.send(series.cpu, metrics.CounterValue, 0, float64(use.cpu)/second, "total")
	root.send(series.memory, metrics.GaugeValue, 0, float64(use.memory))
	root.send(series.workingSet, metrics.GaugeValue, 0, float64(use.workingSet))
	for _, p := range now.pods {
		whole := emitter{emit, []string{"", "/kubepods/pod" + p.uid, "", "", p.namespace, p.name}}
		usage(whole, series, p.stats.Cpu, p.stats.Memory)
		whole.maybe(series.processes, metrics.GaugeValue, 0, p.stats.GetProcess().GetProcessCount())
		s.interfaces(whole, series, p.stats.Network)
		for _, c := range p.containers {
			e := emitter{emit, []string{c.name, "/kubepods/pod" + p.uid + "/" + c.id, c.image, c.id, p.namespace, p.name}}
			container(e, series, c, now)
		}
	}
}

func usage(e emitter, series containerSeries, c *runtimeapi.CpuUsage, m *runtimeapi.MemoryUsage) {
	if v, ok := value(c.GetUsageCoreNanoSeconds()); ok {
		e.send(series.cpu, metrics.CounterValue, c.Timestamp, float64(v)/second, "total")
	}
	if m == nil {
		return
	}
	e.maybe(series.memory, metrics.GaugeValue, m.Timestamp, m.UsageBytes)
	e.maybe(series.workingSet, metrics.GaugeValue, m.Timestamp, m.WorkingSetBytes)
	e.maybe(series.rss, metrics.GaugeValue, m.Timestamp, m.RssBytes)
	e.maybe(series.faults, metrics.CounterValue, m.Timestamp, m.PageFaults, "pgfault", "container")
	e.maybe(series.faults, metrics.CounterValue, m.Timestamp, m.MajorPageFaults, "pgmajfault", "container")
}

func container(e emitter, series containerSeries, c containerSample, now sample) {
	usage(e, series, c.stats.GetCpu(), c.stats.GetMemory())
	e.maybe(series.swap, metrics.GaugeValue, c.stats.GetSwap().GetTimestamp(), c.stats.GetSwap().GetSwapUsageBytes())
	if l := c.stats.GetWritableLayer(); l != nil {
		e.maybe(series.fsUsage, metrics.GaugeValue, l.Timestamp, l.UsedBytes, "")
		e.maybe(series.fsInodes, metrics.GaugeValue, l.Timestamp, l.InodesUsed, "")
	}
	e.send(series.seen, metrics.GaugeValue, 0, float64(now.at.Unix()))
	if !c.started.IsZero() {
		e.send(series.start, metrics.GaugeValue, 0, float64(c.started.UnixNano())/second)
	}
	if c.spec == nil {
		return
	}
	milli := func(q *resource.Quantity) float64 { return float64(q.MilliValue()) }
	const (
		sharesPerCore = 1024
		leastShares   = 2
		period        = 100000 // microseconds
		perMille      = 1000
	)
	e.send(series.specShares, metrics.GaugeValue, 0, max(milli(c.spec.Resources.Requests.Cpu())*sharesPerCore/perMille, leastShares))
	e.send(series.specPeriod, metrics.GaugeValue, 0, period)
	if limit := c.spec.Resources.Limits.Cpu(); !limit.IsZero() {
		e.send(series.specQuota, metrics.GaugeValue, 0, milli(limit)*period/perMille)
	}
	e.send(series.specMemory, metrics.GaugeValue, 0, float64(c.spec.Resources.Limits.Memory().Value()))
	e.send(series.specReservation, metrics.GaugeValue, 0, float64(c.spec.Resources.Requests.Memory().Value()))
}

// interfaces sends a pod's network use; a pod on the host's network has none of its own.
func (s *Server) interfaces(e emitter, series containerSeries, n *runtimeapi.NetworkUsage) {
	if n == nil {
		return
	}
	all := n.Interfaces
	if n.DefaultInterface != nil {
		known := false
		for _, i := range all {
			known = known || i.GetName() == n.DefaultInterface.GetName()
		}
		if !known {
			all = append([]*runtimeapi.NetworkInterfaceUsage{n.DefaultInterface}, all...)
		}
	}
	for _, i := range all {
		if i.GetName() == "" || i.GetName() == "lo" {
			continue
		}
		e.maybe(series.rxBytes, metrics.CounterValue, n.Timestamp, i.RxBytes, i.Name)
		e.maybe(series.rxErrors, metrics.CounterValue, n.Timestamp, i.RxErrors, i.Name)
		e.maybe(series.txBytes, metrics.CounterValue, n.Timestamp, i.TxBytes, i.Name)
		e.maybe(series.txErrors, metrics.CounterValue, n.Timestamp, i.TxErrors, i.Name)
	}
}
