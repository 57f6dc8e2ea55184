package serve

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"pilotis.dev/cmd/kubelet/node/machine"
)

// ownMetrics are the kubelet's own series of /metrics, beside those that libraries register.
type ownMetrics struct {
	registry metrics.KubeRegistry
	requests *metrics.CounterVec
	duration *metrics.HistogramVec
	inflight *metrics.GaugeVec
}

func newOwnMetrics(s *Server) *ownMetrics {
	labels := []string{"method", "path", "server_type", "long_running"}
	m := &ownMetrics{registry: metrics.NewKubeRegistry(),
		requests: metrics.NewCounterVec(&metrics.CounterOpts{Subsystem: "kubelet", Name: "http_requests_total", Help: "Number of the http requests received since the server started", StabilityLevel: metrics.ALPHA}, labels),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{Subsystem: "kubelet", Name: "http_requests_duration_seconds", Help: "Duration in seconds to serve http requests", Buckets: metrics.DefBuckets, StabilityLevel: metrics.ALPHA}, labels),
		inflight: metrics.NewGaugeVec(&metrics.GaugeOpts{Subsystem: "kubelet", Name: "http_inflight_requests", Help: "Number of the inflight http requests", StabilityLevel: metrics.ALPHA}, labels),
	}
	m.registry.MustRegister(m.requests, m.duration, m.inflight)
	m.registry.CustomMustRegister(newStateCollector(s))
	return m
}

// handler shows libraries' series and the kubelet's own together.
func (m *ownMetrics) handler() http.Handler {
	return metricsHandler(prometheus.Gatherers{legacyregistry.DefaultGatherer, m.registry})
}

// counted counts the requests of a server.
func (m *ownMetrics) counted(serverType string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		labels := []string{req.Method, pathLabel(req.URL.Path), serverType, longRunning(req)}
		m.requests.WithLabelValues(labels...).Inc()
		m.inflight.WithLabelValues(labels...).Inc()
		defer m.inflight.WithLabelValues(labels...).Dec()
		begun := time.Now()
		defer func() { m.duration.WithLabelValues(labels...).Observe(time.Since(begun).Seconds()) }()
		next.ServeHTTP(w, req)
	})
}

// pathLabel is the first part of the path if the server has it, so that strangers cannot make series.
func pathLabel(path string) string {
	parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
	switch parts[0] {
	case "stats", "metrics", "debug":
		if len(parts) > 1 && known(parts[1]) {
			return parts[0] + "/" + parts[1]
		}
		return parts[0]
	case "pods", "runningpods", "containerLogs", "exec", "attach", "portForward", "run", "healthz", "livez", "configz", "logs", "checkpoint":
		return parts[0]
	}
	return "other"
}

func known(part string) bool {
	switch part {
	case "summary", "cadvisor", "resource", "probes", "pprof":
		return true
	}
	return false
}

func longRunning(req *http.Request) string {
	switch first, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/"); first {
	case "exec", "attach", "portForward", "debug":
		return "true"
	case "containerLogs":
		if req.URL.Query().Get("follow") == "true" {
			return "true"
		}
	}
	return "false"
}

// newStateCollector gives the series of what the node runs at the moment of the scrape.
func newStateCollector(s *Server) metrics.StableCollector {
	var all []*metrics.Desc
	desc := func(name, help string, labels ...string) *metrics.Desc {
		d := metrics.NewDesc("kubelet_"+name, help, labels, nil, metrics.ALPHA, "")
		all = append(all, d)
		return d
	}
	claim := []string{"namespace", "persistentvolumeclaim"}
	name := desc("node_name", "The node's name. The count is always 1.", "node")
	pods := desc("running_pods", "Number of pods that have a running pod sandbox")
	containers := desc("running_containers", "Number of containers currently running", "container_state")
	capacity := desc("volume_stats_capacity_bytes", "Capacity in bytes of the volume", claim...)
	available := desc("volume_stats_available_bytes", "Number of available bytes in the volume", claim...)
	used := desc("volume_stats_used_bytes", "Number of used bytes in the volume", claim...)
	inodes := desc("volume_stats_inodes", "Maximum number of inodes in the volume", claim...)
	inodesFree := desc("volume_stats_inodes_free", "Number of free inodes in the volume", claim...)
	inodesUsed := desc("volume_stats_inodes_used", "Number of used inodes in the volume", claim...)
	return &collector{descriptions: all, collect: func(emit func(metrics.Metric)) {
		gauge := func(d *metrics.Desc, v uint64, labels ...string) {
			emit(metrics.NewLazyConstMetric(d, metrics.GaugeValue, float64(v), labels...))
		}
		gauge(name, 1, s.NodeName)
		running, states := countStates(s.Pods())
		gauge(pods, running)
		for state, n := range states {
			gauge(containers, n, state)
		}
		s.eachClaim(func(namespace, claim string, fs machine.Filesystem) {
			gauge(capacity, fs.Capacity, namespace, claim)
			gauge(available, fs.Available, namespace, claim)
			gauge(used, fs.Used, namespace, claim)
			gauge(inodes, fs.Inodes, namespace, claim)
			gauge(inodesFree, fs.InodesFree, namespace, claim)
			gauge(inodesUsed, fs.Inodes-min(fs.InodesFree, fs.Inodes), namespace, claim)
		})
	}}
}

func countStates(pods []*v1.Pod) (running uint64, states map[string]uint64) {
	states = map[string]uint64{}
	for _, p := range pods {
		if p.Status.Phase == v1.PodRunning {
			running++
		}
		for _, c := range allStatuses(p) {
			switch {
			case c.State.Running != nil:
				states["running"]++
			case c.State.Terminated != nil:
				states["exited"]++
			default:
				states["created"]++
			}
		}
	}
	return running, states
}

// eachClaim visits the claims that pods have mounted, each once.
func (s *Server) eachClaim(visit func(namespace, claim string, fs machine.Filesystem)) {
	seen := map[string]bool{}
	for _, p := range s.Pods() {
		for i := range p.Spec.Volumes {
			v := &p.Spec.Volumes[i]
			claim := ""
			switch {
			case v.PersistentVolumeClaim != nil:
				claim = v.PersistentVolumeClaim.ClaimName
			case v.Ephemeral != nil:
				claim = p.Name + "-" + v.Name
			}
			key := p.Namespace + "/" + claim
			if claim == "" || seen[key] {
				continue
			}
			dir := s.volumeDir(string(p.UID), v)
			if dir == "" {
				continue
			}
			if fs, err := machine.ReadFilesystem(dir); err == nil {
				seen[key] = true
				visit(p.Namespace, claim, fs)
			}
		}
	}
}
