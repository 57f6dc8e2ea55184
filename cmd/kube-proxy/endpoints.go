package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/server/flagz"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/apiserver/pkg/server/statusz"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/component-base/configz"
	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// serveEndpoints answers /healthz and /livez on the health address, and /metrics, /proxyMode, /configz, /flagz,
// /statusz and profiles on the metrics address, which is loopback unless configured otherwise.
func (s *server) serveEndpoints(ctx context.Context) (stop func(), err error) {
	c := &s.options.Config
	health := http.NewServeMux()
	health.Handle("/healthz", s.status)
	health.Handle("/livez", s.status)
	health.Handle("/readyz", s.status)

	if c.ShowHiddenMetricsForVersion != "" {
		basemetrics.SetShowHidden()
	}
	metrics := mux.NewPathRecorderMux("kube-proxy")
	metrics.Handle("/metrics", legacyregistry.HandlerWithReset())
	metrics.HandleFunc("/proxyMode", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		fmt.Fprint(w, c.Mode)
	})
	metrics.Handle("/healthz", s.status)
	if z, err := configz.New("kubeproxy.config.k8s.io"); err == nil && z.Set(c) == nil {
		configz.InstallHandler(metrics)
	}
	if c.EnableProfiling {
		routes.Profiling{}.Install(metrics)
	}
	flagz.Install(metrics, "kube-proxy", flagz.NamedFlagSetsReader{FlagSets: *s.flags})
	statusz.Install(metrics, "kube-proxy", statusz.NewRegistry(compatibility.DefaultBuildEffectiveVersion(), statusz.WithListedPaths(metrics.ListedPaths())))

	var servers []*http.Server
	stop = func() {
		for _, s := range servers {
			s.Close()
		}
	}
	for _, e := range []struct {
		flag, address string
		handler       http.Handler
	}{{"--healthz-bind-address", c.HealthzBindAddress, health}, {"--metrics-bind-address", c.MetricsBindAddress, metrics}} {
		if e.address == "" {
			continue
		}
		listener, err := net.Listen("tcp", e.address)
		if err != nil {
			err = fmt.Errorf("%s=%s: %w", e.flag, e.address, err)
			if c.BindAddressHardFail {
				stop()
				return nil, err
			}
			klog.FromContext(ctx).Error(err, "Going on without this endpoint")
			continue
		}
		server := &http.Server{Handler: e.handler, ReadHeaderTimeout: 10 * time.Second}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				klog.FromContext(ctx).Error(err, "Endpoint ended", "address", e.address)
			}
		}()
	}
	return stop, nil
}
