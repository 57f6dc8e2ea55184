package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// serve starts the kubelet's endpoints.
func (d *daemon) serve(_ context.Context, start func(func(context.Context))) error {
	return d.serveHealth(start)
}

// serveHealth answers /healthz on loopback while the container runtime does.
func (d *daemon) serveHealth(start func(func(context.Context))) error {
	c := &d.options.Config
	if *c.HealthzPort == 0 {
		return nil
	}
	address := net.JoinHostPort(c.HealthzBindAddress, strconv.Itoa(int(*c.HealthzPort)))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("healthzPort %s: %w", address, err)
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !d.kubelet.RuntimeHealthy() {
			http.Error(w, "the container runtime does not answer", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "ok")
	})}
	start(func(ctx context.Context) {
		defer context.AfterFunc(ctx, func() { server.Close() })()
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			return
		}
	})
	return nil
}
