package serve

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/proxy"
	apiproxy "k8s.io/apiserver/pkg/util/proxy"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/wsstream"
	utilexec "k8s.io/utils/exec"

	"pilotis.dev/cmd/kubelet/observed"
)

// wanted are the streams that a request asks for.
type wanted struct{ stdin, stdout, stderr, tty bool }

func wantedStreams(q url.Values) (wanted, error) {
	is := func(names ...string) bool {
		for _, n := range names {
			if v := q.Get(n); v == "1" || v == "true" {
				return true
			}
		}
		return false
	}
	s := wanted{stdin: is("input", "stdin"), stdout: is("output", "stdout"), stderr: is("error", "stderr"), tty: is("tty")}
	if s.tty && s.stderr {
		s.stderr = false // a terminal has one output
	}
	if !s.stdin && !s.stdout && !s.stderr {
		return s, errors.New("you must specify at least 1 of stdin, stdout, stderr")
	}
	return s, nil
}

// exec runs a command in a container, with its streams.
func (s *Server) exec(w http.ResponseWriter, req *http.Request) {
	streams, id, ok := s.streamTarget(w, req)
	if !ok {
		return
	}
	response, err := s.Runtime.Exec(req.Context(), &runtimeapi.ExecRequest{ContainerId: id, Cmd: req.URL.Query()["command"], Tty: streams.tty, Stdin: streams.stdin, Stdout: streams.stdout, Stderr: streams.stderr})
	s.relay(w, req, response.GetUrl(), err, &streams)
}

// attach joins the streams of a container's first process.
func (s *Server) attach(w http.ResponseWriter, req *http.Request) {
	streams, id, ok := s.streamTarget(w, req)
	if !ok {
		return
	}
	response, err := s.Runtime.Attach(req.Context(), &runtimeapi.AttachRequest{ContainerId: id, Tty: streams.tty, Stdin: streams.stdin, Stdout: streams.stdout, Stderr: streams.stderr})
	s.relay(w, req, response.GetUrl(), err, &streams)
}

func (s *Server) streamTarget(w http.ResponseWriter, req *http.Request) (wanted, string, bool) {
	if !upgrades(w, req) {
		return wanted{}, "", false
	}
	streams, err := wantedStreams(req.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return streams, "", false
	}
	pod, err := s.find(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return streams, "", false
	}
	id, err := runningContainer(pod, req.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError) // clients add that the connection is not upgraded
		return streams, "", false
	}
	return streams, id, true
}

// upgrades refuses a request that is no stream, before the runtime opens one for it.
func upgrades(w http.ResponseWriter, req *http.Request) bool {
	if httpstream.IsUpgradeRequest(req) {
		return true
	}
	http.Error(w, "Upgrade request required", http.StatusBadRequest)
	return false
}

// portForward carries connections to ports of a pod.
func (s *Server) portForward(w http.ResponseWriter, req *http.Request) {
	if !upgrades(w, req) {
		return
	}
	ports, err := forwardedPorts(req.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pod, err := s.find(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	sandbox, err := s.sandbox(req, pod)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	response, err := s.Runtime.PortForward(req.Context(), &runtimeapi.PortForwardRequest{PodSandboxId: sandbox, Port: ports})
	s.relay(w, req, response.GetUrl(), err, nil)
}

// forwardedPorts are the ports that an old WebSocket client names in its query; SPDY clients name them a stream.
func forwardedPorts(q url.Values) ([]int32, error) {
	names := q["ports"]
	if len(names) == 0 {
		names = q["port"]
	}
	var ports []int32
	for _, text := range names {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("unable to parse %q as a port", text)
		}
		ports = append(ports, int32(n))
	}
	return ports, nil
}

// sandbox finds the pod's sandbox that runs.
func (s *Server) sandbox(req *http.Request, pod *v1.Pod) (string, error) {
	list, err := s.Runtime.ListPodSandbox(req.Context(), &runtimeapi.PodSandboxFilter{
		State:         &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY},
		LabelSelector: map[string]string{observed.LabelPodUID: string(pod.UID)},
	})
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", fmt.Errorf("failed to find sandbox for pod %q", pod.Namespace+"/"+pod.Name)
	}
	return list[0].Id, nil
}

// relay joins the client's connection with the runtime's streaming server. A WebSocket of a protocol that the runtime
// does not speak is translated: exec and attach of version 5 (KEP-4006), and port-forward tunnelled through one.
func (s *Server) relay(w http.ResponseWriter, req *http.Request, address string, err error, streams *wanted) {
	if err != nil {
		klog.FromContext(req.Context()).Info("The container runtime opens no stream", "path", req.URL.Path, "reason", err.Error())
		http.Error(w, status.Convert(err).Message(), http.StatusInternalServerError)
		return
	}
	location, err := url.Parse(address)
	if err != nil {
		http.Error(w, fmt.Sprintf("the container runtime gave the address %q: %v", address, err), http.StatusInternalServerError)
		return
	}
	upgrade := proxy.NewUpgradeAwareHandler(location, nil, false, true, responder{})
	upgrade.RejectForwardingRedirects = true
	var handler http.Handler = upgrade
	if streams != nil {
		translator := apiproxy.NewStreamTranslatorHandler(location, http.DefaultTransport, 0, apiproxy.Options{Stdin: streams.stdin, Stdout: streams.stdout, Stderr: streams.stderr, Tty: streams.tty})
		handler = apiproxy.NewTranslatingHandler(upgrade, translator, wsstream.IsWebSocketRequestWithStreamCloseProtocol)
	} else {
		handler = apiproxy.NewTranslatingHandler(upgrade, apiproxy.NewTunnelingHandler(upgrade), wsstream.IsWebSocketRequestWithTunnelingProtocol)
	}
	if s.StreamIdle > 0 {
		w = idleLimit{w, s.StreamIdle}
	}
	handler.ServeHTTP(w, req)
}

type responder struct{}

func (responder) Error(w http.ResponseWriter, req *http.Request, err error) {
	klog.FromContext(req.Context()).Error(err, "A stream could not be joined with the container runtime", "path", req.URL.Path)
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// runTimeout bounds a command of /run.
const runTimeout = 10 * time.Minute

// run runs a command to its end and gives its output.
func (s *Server) run(w http.ResponseWriter, req *http.Request) {
	pod, err := s.find(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	id, err := runningContainer(pod, req.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if err := req.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	command := req.Form["cmd"]
	if len(command) == 1 {
		command = strings.Fields(command[0])
	}
	stdout, stderr, err := s.Runtime.ExecSync(req.Context(), id, command, runTimeout)
	var exit utilexec.ExitError
	if err != nil && !errors.As(err, &exit) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
	w.Write(append(stdout, stderr...)) //nolint:errcheck // the client went
}

// checkpoint writes a running container's state to an archive (KEP-2008).
func (s *Server) checkpoint(w http.ResponseWriter, req *http.Request) {
	pod, err := s.find(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	container := req.PathValue("container")
	if !hasContainer(pod, container) {
		http.Error(w, fmt.Sprintf("container %v does not exist", container), http.StatusNotFound)
		return
	}
	if s.Checkpoint == nil {
		http.Error(w, "checkpointing of containers is switched off (feature gate ContainerCheckpoint)", http.StatusNotFound)
		return
	}
	archive, err := s.Checkpoint(req.Context(), pod, container)
	if err != nil {
		http.Error(w, fmt.Sprintf("checkpointing of %v/%v/%v failed (%v)", pod.Namespace, pod.Name, container, err), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string][]string{"items": {archive}})
}
