package daemon

// What dashboards read of every daemon: its version, and its requests to the apiserver.
import (
	_ "k8s.io/component-base/metrics/prometheus/restclient"
	_ "k8s.io/component-base/metrics/prometheus/version"
)
