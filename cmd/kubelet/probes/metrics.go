package probes

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-base/metrics"
)

// probeMetrics are the series of /metrics/probes.
type probeMetrics struct {
	total    *metrics.CounterVec
	duration *metrics.HistogramVec
}

// newMetrics makes the series and adds them to r, which may be nil.
func newMetrics(r metrics.KubeRegistry) *probeMetrics {
	m := &probeMetrics{
		total: metrics.NewCounterVec(&metrics.CounterOpts{
			Subsystem: "prober", Name: "probe_total", StabilityLevel: metrics.BETA,
			Help: "Cumulative number of a liveness, readiness or startup probe for a container by result.",
		}, []string{"probe_type", "result", "container", "pod", "namespace", "pod_uid"}),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Subsystem: "prober", Name: "probe_duration_seconds", StabilityLevel: metrics.ALPHA,
			Help: "Duration in seconds for a probe response.",
		}, []string{"probe_type", "container", "pod", "namespace"}),
	}
	if r == nil {
		r = metrics.NewKubeRegistry()
	}
	r.MustRegister(m.total, m.duration)
	return m
}

func (m *probeMetrics) count(w *worker, pod *v1.Pod, a answer, err error, took time.Duration) {
	result := "successful"
	switch {
	case err != nil:
		result = "unknown"
	case a.outcome == failure:
		result = "failed"
	}
	m.total.WithLabelValues(string(w.kind), result, w.container.Name, pod.Name, pod.Namespace, string(pod.UID)).Inc()
	if err == nil {
		m.duration.WithLabelValues(string(w.kind), w.container.Name, pod.Name, pod.Namespace).Observe(took.Seconds())
	}
}

// forget drops the series of a pod that is gone.
func (m *probeMetrics) forget(pod *v1.Pod) {
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, k := range []Kind{Startup, Liveness, Readiness} {
				if k.of(&list[i]) == nil {
					continue
				}
				for _, result := range []string{"successful", "failed", "unknown"} {
					m.total.Delete(map[string]string{"probe_type": string(k), "result": result, "container": list[i].Name, "pod": pod.Name, "namespace": pod.Namespace, "pod_uid": string(pod.UID)})
				}
				m.duration.Delete(map[string]string{"probe_type": string(k), "container": list[i].Name, "pod": pod.Name, "namespace": pod.Namespace})
			}
		}
	}
}
