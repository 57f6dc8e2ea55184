package protection

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"pilotis.dev/test/e2e/daemons"
)

// spans is a collector of traces (OTLP over gRPC).
type spans struct {
	collector.UnimplementedTraceServiceServer
	mu   sync.Mutex
	all  []*tracev1.Span
	from map[string]bool // service.name of the senders
}

func (c *spans) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range req.GetResourceSpans() {
		for _, a := range r.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				c.from[a.GetValue().GetStringValue()] = true
			}
		}
		for _, s := range r.GetScopeSpans() {
			c.all = append(c.all, s.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// trace is the names of the spans of the trace in which a request for path was answered.
func (c *spans) trace(path string) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if !asksFor(s, path) {
			continue
		}
		for _, other := range c.all {
			if string(other.GetTraceId()) == string(s.GetTraceId()) {
				names = append(names, other.GetName())
			}
		}
		return names
	}
	return nil
}

func asksFor(s *tracev1.Span, path string) bool {
	for _, a := range s.GetAttributes() {
		if strings.Contains(a.GetValue().GetStringValue(), path) {
			return true
		}
	}
	return false
}

// A request is one trace from its arrival to etcd, which the collector of the file receives.
func TestTracing(t *testing.T) {
	t.Parallel()
	c := &spans{from: map[string]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	g := grpc.NewServer()
	collector.RegisterTraceServiceServer(g, c)
	go func() { _ = g.Serve(l) }() // ends with Stop
	t.Cleanup(g.Stop)
	s := serve(t, "--tracing-config-file="+temporary(t, "tracing.yaml", fmt.Sprintf(
		"apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: %s\nsamplingRatePerMillion: 1000000\n", l.Addr())))
	s.secret(t, "traced")
	want := []string{"authentication", "authorization", "POST /api/v1/namespaces/{:namespace}/secrets", "etcdserverpb.KV/Txn"}
	daemons.Eventually(t, fmt.Sprintf("the spans %q of a request", want), func() (string, bool) {
		names := c.trace("/api/v1/namespaces/default/secrets") // they come in several batches
		return fmt.Sprint(names), !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(names, w) })
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.from["apiserver"] {
		t.Errorf("senders: %v", c.from)
	}
}
