package serve

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
)

// Handler is the whole API behind authentication and authorization.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	s.installReading(mux)
	mux.HandleFunc("GET /configz", s.configz)
	mux.HandleFunc("POST /checkpoint/{namespace}/{pod}/{container}", s.checkpoint)
	if s.Debugging {
		s.installDebugging(mux)
	} else {
		for _, path := range []string{"/run/", "/exec/", "/attach/", "/portForward/", "/containerLogs/", "/runningpods/", "/logs/", "/debug/"} {
			mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "Debug endpoints are disabled.", http.StatusMethodNotAllowed)
			})
		}
	}
	return recovered(s.metrics.counted("readwrite", s.authorized(mux)))
}

// readOnly is what the unprotected port shows.
func (s *Server) readOnly() http.Handler {
	mux := http.NewServeMux()
	s.installReading(mux)
	return recovered(s.metrics.counted("readonly", mux))
}

func (s *Server) installReading(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /healthz/{check}", s.healthz)
	mux.HandleFunc("GET /livez", s.healthz)
	mux.HandleFunc("GET /pods", s.pods)
	mux.HandleFunc("GET /stats/summary", s.summary)
	mux.HandleFunc("POST /stats/summary", s.summary)
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.Handle("GET /metrics/resource", s.resourceMetrics())
	mux.Handle("GET /metrics/cadvisor", s.containerMetrics())
	if s.ProbeMetrics != nil {
		mux.Handle("GET /metrics/probes", metricsHandler(s.ProbeMetrics))
	}
}

func (s *Server) installDebugging(mux *http.ServeMux) {
	mux.HandleFunc("GET /runningpods/", s.runningPods)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.containerLogs)
	for _, method := range []string{"GET", "POST"} {
		for _, pod := range []string{"{namespace}/{pod}", "{namespace}/{pod}/{uid}"} {
			mux.HandleFunc(method+" /exec/"+pod+"/{container}", s.exec)
			mux.HandleFunc(method+" /attach/"+pod+"/{container}", s.attach)
			mux.HandleFunc(method+" /portForward/"+pod, s.portForward)
		}
	}
	mux.HandleFunc("POST /run/{namespace}/{pod}/{container}", s.run)
	mux.HandleFunc("POST /run/{namespace}/{pod}/{uid}/{container}", s.run)
	if s.SystemLogs {
		mux.Handle("GET /logs/", http.StripPrefix("/logs/", http.FileServer(http.Dir(s.LogDir))))
	}
	if s.DebugFlags {
		mux.HandleFunc("PUT /debug/flags/v", routes.StringFlagPutHandler(logs.GlogSetter))
	}
	if s.Profiling {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
}

// configz shows the configuration that the kubelet runs with.
func (s *Server) configz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]*kubeletconfig.KubeletConfiguration{"kubeletconfig": s.KubeletConfig})
}

func writeJSON(w http.ResponseWriter, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(data) //nolint:errcheck // the client went
}

// recovered answers 500 to a request whose handler panics, and the kubelet goes on.
func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer func() {
			if fault := recover(); fault != nil {
				if fault == http.ErrAbortHandler {
					panic(fault)
				}
				klog.FromContext(req.Context()).Error(nil, "A request handler panicked", "path", req.URL.Path, "panic", fault)
				http.Error(w, "internal error", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, req)
	})
}
