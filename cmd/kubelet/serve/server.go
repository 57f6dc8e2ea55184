package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/component-base/metrics"
	internalapi "k8s.io/cri-api/pkg/apis"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"pilotis.dev/cmd/kubelet/node/machine"
)

// Config of a Server.
type Config struct {
	NodeName string
	Address  string
	Port     int // HTTPS; 0: none
	// ReadOnlyPort serves what cannot change anything, without TLS and without authentication; 0: none.
	ReadOnlyPort   int
	HealthzAddress string
	HealthzPort    int // plain /healthz; 0: none

	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	MinTLSVersion  uint16
	CipherSuites   []uint16
	Curves         []tls.CurveID // empty: Go's choice
	Auth           Auth

	Runtime internalapi.RuntimeService
	Images  internalapi.ImageManagerService
	// Pods lists the node's pods with their newest status; Running those that the runtime knows of.
	Pods    func() []*v1.Pod
	Running func(ctx context.Context) ([]*v1.Pod, error)
	// Health is asked for /healthz and /livez: an error is the kubelet's own fault, which a restart may mend.
	Health  func() error
	Machine machine.Root
	RootDir string
	// KubeletCgroup and RuntimeCgroup are the daemons' own, for /stats/summary; empty: not told.
	KubeletCgroup, RuntimeCgroup string
	// VolumePath is where a pod's volume is mounted; empty: not known.
	VolumePath func(uid types.UID, volume string) string

	KubeletConfig *kubeletconfig.KubeletConfiguration // of /configz
	ProbeMetrics  metrics.Gatherer                    // of /metrics/probes; nil: none
	Debugging     bool                                // enableDebuggingHandlers: logs, exec, attach, port-forward, run
	Profiling     bool                                // enableProfilingHandler
	DebugFlags    bool                                // enableDebugFlagsHandler: the log level is set by PUT /debug/flags/v
	// StreamIdle ends exec, attach and port-forward on which nothing moved for so long; 0: never.
	StreamIdle time.Duration
	// DiskEvery is how old the measure of a folder may be that /stats/summary shows; 0: a minute.
	DiskEvery  time.Duration
	SystemLogs bool   // enableSystemLogHandler
	LogDir     string // /var/log
	// Checkpoint checkpoints a container; nil: not possible here.
	Checkpoint func(ctx context.Context, pod *v1.Pod, container string) (archive string, err error)
}

// Auth decides who may do what. A nil Authenticator lets nobody in; AllowAll is for authorization mode AlwaysAllow.
type Auth struct {
	Authenticator authenticator.Request
	Authorizer    authorizer.Authorizer
	// ClientCA checks client certificates; nil: none are asked for.
	ClientCA dynamiccertificates.CAContentProvider
}

// Server is the kubelet's API.
type Server struct {
	Config
	usage   *usageTracker
	metrics *ownMetrics
}

// New returns a server that does not listen yet.
func New(c Config) *Server {
	if c.LogDir == "" {
		c.LogDir = "/var/log"
	}
	if c.Health == nil {
		c.Health = func() error { return nil }
	}
	s := &Server{Config: c, usage: newUsageTracker()}
	if c.DiskEvery > 0 {
		s.usage.diskEvery = c.DiskEvery
	}
	s.metrics = newOwnMetrics(s)
	return s
}

const (
	headerTimeout   = 32 * time.Second
	shutdownTimeout = 5 * time.Second
)

// Run listens on every port, fails at once if one is taken, and serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	listeners, err := s.Listen()
	if err != nil {
		return err
	}
	listeners.Serve(ctx)
	return nil
}

// Listeners are the server's open ports.
type Listeners struct {
	server *Server
	open   []opened
}

type opened struct {
	name     string
	listener net.Listener
	handler  http.Handler
}

// Listen opens every port; an error names the port and its option.
func (s *Server) Listen() (*Listeners, error) {
	l := &Listeners{server: s}
	add := func(name, address string, port int, h http.Handler, secure bool) error {
		if port == 0 {
			return nil
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if secure {
			listener = tls.NewListener(listener, s.tlsConfig())
		}
		l.open = append(l.open, opened{name, listener, h})
		return nil
	}
	err := errors.Join(
		add("port", s.Address, s.Port, s.Handler(), true),
		add("readOnlyPort", s.Address, s.ReadOnlyPort, s.readOnly(), false),
		add("healthzPort", s.HealthzAddress, s.HealthzPort, s.health(), false),
	)
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *Listeners) close() {
	for _, o := range l.open {
		o.listener.Close() // the first error is told
	}
}

// Serve answers until ctx ends.
func (l *Listeners) Serve(ctx context.Context) {
	logger := klog.FromContext(ctx)
	if ca, ok := l.server.Auth.ClientCA.(dynamiccertificates.ControllerRunner); ok {
		go ca.Run(ctx, 1) // reads the file again when it changes
	}
	var wg sync.WaitGroup
	for _, o := range l.open {
		server := &http.Server{Handler: o.handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: 90 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
		logger.Info("Serving", "name", o.name, "address", o.listener.Addr().String())
		wg.Go(func() {
			if err := server.Serve(o.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				logger.Error(err, "Serving ended", "name", o.name)
			}
		})
		wg.Go(func() {
			<-ctx.Done()
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
			defer cancel()
			if server.Shutdown(stopping) != nil {
				server.Close() // open streams end with the process
			}
		})
	}
	wg.Wait()
}

// tlsConfig offers HTTP/1.1 alone: streams upgrade their connection.
func (s *Server) tlsConfig() *tls.Config {
	version := s.MinTLSVersion
	if version == 0 {
		version = tls.VersionTLS12
	}
	base := &tls.Config{MinVersion: version, CipherSuites: s.CipherSuites, CurvePreferences: s.Curves, GetCertificate: s.GetCertificate, NextProtos: []string{"http/1.1"}}
	if s.Auth.ClientCA == nil {
		return base
	}
	base.ClientAuth = tls.RequestClientCert // verified by the authenticator, which knows the CA of the moment
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := base.Clone()
		c.GetConfigForClient = nil
		if options, ok := s.Auth.ClientCA.VerifyOptions(); ok {
			c.ClientCAs = options.Roots
		}
		return c, nil
	}
	return base
}

// health is the plain port: /healthz alone, nothing that tells of the node (CVE-2019-11248).
func (s *Server) health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	return mux
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := s.Health(); err != nil {
		http.Error(w, "healthz check failed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, "ok") // the client went
}
