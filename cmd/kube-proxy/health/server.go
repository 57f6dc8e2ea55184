// Package health answers probes: whether the proxy keeps up, and for load balancers whether this node has
// endpoints of a Service with externalTrafficPolicy Local.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-proxy/desired"
)

// Status tells when rules were applied, and whether the node is going away.
type Status struct {
	mu          sync.Mutex
	lastApplied time.Time
	nodeLeaving bool
}

// Applied notes a successful application of the rules.
func (s *Status) Applied() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastApplied = time.Now()
}

// SetNodeLeaving notes that the node is being deleted: load balancers should send no new connections.
func (s *Status) SetNodeLeaving(leaving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodeLeaving = leaving
}

// ServeHTTP answers /healthz (which fails while the node leaves) and /livez.
func (s *Status) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	applied, leaving := s.lastApplied, s.nodeLeaving
	s.mu.Unlock()
	code := http.StatusOK
	if applied.IsZero() || (leaving && r.URL.Path == "/healthz") {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	now := time.Now()
	_ = json.NewEncoder(w).Encode(map[string]any{"lastUpdated": applied.Format(time.RFC3339), "currentTime": now.Format(time.RFC3339), "nodeEligible": !leaving})
}

// LocalEndpoints serves spec.healthCheckNodePort of Services with externalTrafficPolicy Local: 200 while this
// node has endpoints of the Service, else 503.
type LocalEndpoints struct {
	status *Status
	mu     sync.Mutex
	open   map[types.NamespacedName]*checkServer
}

type checkServer struct {
	port     uint16
	local    int
	listener net.Listener
	server   *http.Server
}

// NewLocalEndpoints serves no Service yet.
func NewLocalEndpoints(s *Status) *LocalEndpoints {
	return &LocalEndpoints{status: s, open: map[types.NamespacedName]*checkServer{}}
}

// Update takes the ports of Services that changed and opens, changes and closes their servers.
func (l *LocalEndpoints) Update(ctx context.Context, changes map[types.NamespacedName][]desired.ServicePort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, ports := range changes {
		var port uint16
		local := map[string]bool{}
		for _, p := range ports {
			if p.HealthCheckNodePort != 0 {
				port = p.HealthCheckNodePort
				for _, e := range p.Local {
					local[e.Address.Addr().String()] = true
				}
			}
		}
		if have := l.open[key]; have != nil && have.port != port {
			have.server.Close()
			delete(l.open, key)
		}
		if port == 0 {
			continue
		}
		if l.open[key] == nil {
			s, err := l.listen(key, port)
			if err != nil {
				klog.FromContext(ctx).Error(err, "The health check port of a Service cannot be opened", "service", key, "port", port)
				continue
			}
			l.open[key] = s
		}
		l.open[key].local = len(local)
	}
}

func (l *LocalEndpoints) listen(key types.NamespacedName, port uint16) (*checkServer, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, err
	}
	s := &checkServer{port: port, listener: listener}
	s.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		local := s.local
		l.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Load-Balancing-Endpoint-Weight", fmt.Sprint(local))
		if local == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"service": map[string]string{"namespace": key.Namespace, "name": key.Name}, "localEndpoints": local, "serviceProxyHealthy": true})
	})}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.ErrorS(err, "Health checks of a Service are no longer answered", "service", key, "port", port)
		}
	}()
	return s, nil
}
