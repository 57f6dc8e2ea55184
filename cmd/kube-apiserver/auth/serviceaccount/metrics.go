package serviceaccount

import (
	"k8s.io/component-base/metrics"
)

// Metrics count accepted tokens by their age.
type Metrics struct {
	legacy, stale, valid *metrics.Counter
}

// NewMetrics registers the counters; the names are those that dashboards of the field know.
func NewMetrics(registry func(...metrics.Registerable)) *Metrics {
	counter := func(name, help string) *metrics.Counter {
		return metrics.NewCounter(&metrics.CounterOpts{Subsystem: "serviceaccount", Name: name, Help: help, StabilityLevel: metrics.ALPHA})
	}
	m := &Metrics{
		legacy: counter("legacy_tokens_total", "Cumulative legacy service account tokens used"),
		stale:  counter("stale_tokens_total", "Cumulative stale projected service account tokens used"),
		valid:  counter("valid_tokens_total", "Cumulative valid projected service account tokens used"),
	}
	registry(m.legacy, m.stale, m.valid)
	return m
}
