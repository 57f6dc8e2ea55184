package auth

import (
	"context"

	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	webhookmetrics "k8s.io/apiserver/plugin/pkg/authorizer/webhook/metrics"
	"k8s.io/component-base/metrics"
)

// webhookCounters are the metrics of authorization webhooks; the library has those of evaluation, these are of requests.
type webhookCounters struct {
	webhookmetrics.WebhookMetrics
	authorizationcel.MatcherMetrics
	total   *metrics.CounterVec
	latency *metrics.HistogramVec
}

// newWebhookMetrics returns the metrics that all webhooks of one chain share: /metrics knows a name only once.
func newWebhookMetrics() webhookmetrics.AuthorizerMetrics {
	c := &webhookCounters{
		WebhookMetrics: webhookmetrics.NewWebhookMetrics(),
		MatcherMetrics: authorizationcel.NewMatcherMetrics(),
		total: metrics.NewCounterVec(&metrics.CounterOpts{
			Subsystem: "apiserver", Name: "delegated_authz_request_total",
			Help: "Number of HTTP requests partitioned by status code.", StabilityLevel: metrics.ALPHA,
		}, []string{"code"}),
		latency: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Subsystem: "apiserver", Name: "delegated_authz_request_duration_seconds",
			Help:           "Request latency in seconds. Broken down by status code.",
			Buckets:        []float64{0.25, 0.5, 0.7, 1, 1.5, 3, 5, 10},
			StabilityLevel: metrics.ALPHA,
		}, []string{"code"}),
	}
	register(c.total, c.latency)
	return c
}

// RecordRequestTotal implements webhookmetrics.RequestMetrics.
func (c *webhookCounters) RecordRequestTotal(_ context.Context, code string) {
	c.total.WithLabelValues(code).Inc()
}

// RecordRequestLatency implements webhookmetrics.RequestMetrics.
func (c *webhookCounters) RecordRequestLatency(_ context.Context, code string, latency float64) {
	c.latency.WithLabelValues(code).Observe(latency)
}
