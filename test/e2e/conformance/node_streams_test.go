package conformance

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/websocket"
)

func TestCommandOverWebSocket(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should support remote command execution over websockets [NodeConformance]")
	pod := s.start(s.pod("p", "sleep 300"))
	target := s.Client.CoreV1().RESTClient().Get().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("exec").
		VersionedParams(&v1.PodExecOptions{Container: "c", Command: []string{"sh", "-c", "echo remote execution test; echo aside >&2"}, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor := must[remotecommand.Executor](s)(remotecommand.NewWebSocketExecutor(s.Config, http.MethodGet, target.URL().String()))
	var out, errOut bytes.Buffer
	if err := executor.StreamWithContext(s.Context(), remotecommand.StreamOptions{Stdout: &out, Stderr: &errOut}); err != nil {
		t.Fatal(err)
	}
	if out.String() != "remote execution test\n" || errOut.String() != "aside\n" {
		t.Errorf("the command says %q and %q", out.String(), errOut.String())
	}
}

func TestLogOverWebSocket(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should support retrieving logs from the container over websockets [NodeConformance]")
	s.says(s.pod("p", "echo container is alive"))
	transport, connections, err := websocket.RoundTripperFor(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	target := s.Client.CoreV1().RESTClient().Get().Namespace(s.Namespace).Resource("pods").Name("p").SubResource("log").VersionedParams(&v1.PodLogOptions{Container: "c"}, scheme.ParameterCodec)
	request := must[*http.Request](s)(http.NewRequestWithContext(s.Context(), http.MethodGet, target.URL().String(), nil))
	connection, err := websocket.Negotiate(transport, connections, request, "binary.k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	var said bytes.Buffer
	for {
		_, message, err := connection.NextReader()
		if err != nil {
			break // the log has ended
		}
		if _, err := io.Copy(&said, message); err != nil {
			t.Fatal(err)
		}
	}
	if said.String() != "container is alive\n" {
		t.Errorf("the log is %q", said.String())
	}
}
