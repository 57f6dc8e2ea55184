package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// memoryRuntime is the part of a container runtime that the server asks.
type memoryRuntime struct {
	internalapi.RuntimeService
	logs      map[string]string // container ID to log file
	streaming string            // address of a streaming server
	execs     []*runtimeapi.ExecRequest
	stats     []*runtimeapi.PodSandboxStats
}

func (r *memoryRuntime) ContainerStatus(_ context.Context, id string, _ bool) (*runtimeapi.ContainerStatusResponse, error) {
	path, ok := r.logs[id]
	if !ok {
		return nil, fmt.Errorf("container %s is unknown", id)
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{Id: id, LogPath: path, State: runtimeapi.ContainerState_CONTAINER_EXITED}}, nil
}

func (r *memoryRuntime) Exec(_ context.Context, req *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	r.execs = append(r.execs, req)
	return &runtimeapi.ExecResponse{Url: r.streaming}, nil
}

func (r *memoryRuntime) ListPodSandboxStats(context.Context, *runtimeapi.PodSandboxStatsFilter) ([]*runtimeapi.PodSandboxStats, error) {
	return r.stats, nil
}

func testPod() *v1.Pod {
	began := metav1.NewTime(time.Unix(1000, 0))
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns", UID: "u1"},
		Spec:       v1.PodSpec{Containers: []v1.Container{{Name: "app"}, {Name: "idle"}}},
		Status: v1.PodStatus{StartTime: &began, ContainerStatuses: []v1.ContainerStatus{
			{Name: "app", Image: "img", ContainerID: "containerd://c1", State: v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: began}},
				LastTerminationState: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ContainerID: "containerd://c0"}}},
			{Name: "idle", State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "ContainerCreating"}}},
		}},
	}
}

func testServer(runtime *memoryRuntime, pods []*v1.Pod) *Server {
	if runtime == nil {
		runtime = &memoryRuntime{}
	}
	return New(Config{NodeName: "n1", Runtime: runtime, Pods: func() []*v1.Pod { return pods }, Machine: "/", RootDir: os.TempDir(), Debugging: true,
		Auth: Auth{Authenticator: authenticator.RequestFunc(named), Authorizer: authorizerfactory.NewAlwaysAllowAuthorizer()}})
}

func get(s *Server, path string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodGet, "https://node"+path, nil)
	req.Header.Set("X-Name", "admin")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, req)
	return w
}

func TestContainerLogs(t *testing.T) {
	dir := t.TempDir()
	line := func(at, stream, text string) string {
		return "2026-01-01T00:00:" + at + ".000000000Z " + stream + " F " + text + "\n"
	}
	now, before := filepath.Join(dir, "1.log"), filepath.Join(dir, "0.log")
	for path, text := range map[string]string{
		now:    line("01", "stdout", "one") + line("02", "stderr", "two") + line("03", "stdout", "three"),
		before: line("00", "stdout", "old"),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := testServer(&memoryRuntime{logs: map[string]string{"c1": now, "c0": before}}, []*v1.Pod{testPod()})
	for _, c := range []struct {
		path string
		code int
		body string
	}{
		{"/containerLogs/ns/web/app", 200, "one\ntwo\nthree\n"},
		{"/containerLogs/ns/web/app?tailLines=1", 200, "three\n"},
		{"/containerLogs/ns/web/app?tailLines=0", 200, ""},
		{"/containerLogs/ns/web/app?limitBytes=5", 200, "one\nt"},
		{"/containerLogs/ns/web/app?stream=Stderr", 200, "two\n"},
		{"/containerLogs/ns/web/app?timestamps=true&tailLines=1", 200, "2026-01-01T00:00:03.000000000Z three\n"},
		{"/containerLogs/ns/web/app?sinceTime=2026-01-01T00:00:02Z", 200, "two\nthree\n"},
		{"/containerLogs/ns/web/app?previous=true", 200, "old\n"},
		{"/containerLogs/ns/web/app?tailLines=-1", 422, `{"message": "Invalid request."}`},
		{"/containerLogs/ns/web/app?sinceSeconds=x", 422, "Invalid request"},
		{"/containerLogs/ns/web/app?stream=Both", 422, "Invalid request"},
		{"/containerLogs/ns/web/idle", 400, `container "idle" in pod "web" is waiting to start: ContainerCreating`},
		{"/containerLogs/ns/web/none", 404, `container "none" not found in pod "web"`},
		{"/containerLogs/ns/none/app", 404, `pod "ns/none" not found`},
	} {
		w := get(s, c.path)
		if body := w.Body.String(); w.Code != c.code || (c.code == 200 && body != c.body) || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %q", c.path, w.Code, body)
		}
	}
}

func TestLoggedContainer(t *testing.T) {
	terminated := func(id string) v1.ContainerState {
		return v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ContainerID: id}}
	}
	waitingFor := func(reason string) v1.ContainerState {
		return v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reason}}
	}
	for _, c := range []struct {
		name     string
		status   v1.ContainerStatus
		previous bool
		want     string
	}{
		{"running", v1.ContainerStatus{ContainerID: "x://a", State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}, false, "a"},
		{"ended", v1.ContainerStatus{State: terminated("x://a")}, false, "a"},
		{"back-off shows the last life", v1.ContainerStatus{State: waitingFor("CrashLoopBackOff"), LastTerminationState: terminated("x://b")}, false, "b"},
		{"previous", v1.ContainerStatus{ContainerID: "x://a", State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}, LastTerminationState: terminated("x://b")}, true, "b"},
		{"no previous", v1.ContainerStatus{ContainerID: "x://a", State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}, true, `error: previous terminated container "c" in pod "p" not found`},
		{"pulling fails", v1.ContainerStatus{State: waitingFor("ErrImagePull")}, false, `error: container "c" in pod "p" is waiting to start: image can't be pulled`},
		{"pulling backs off", v1.ContainerStatus{State: waitingFor("ImagePullBackOff")}, false, `error: container "c" in pod "p" is waiting to start: trying and failing to pull image`},
		{"ended without trace", v1.ContainerStatus{State: terminated("")}, false, `error: container "c" in pod "p" is terminated`},
		{"nothing", v1.ContainerStatus{}, false, `error: container "c" in pod "p" is waiting to start - no logs yet`},
	} {
		c.status.Name = "c"
		got, err := loggedContainer(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: v1.PodStatus{ContainerStatuses: []v1.ContainerStatus{c.status}}}, "c", c.previous)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// echoServer upgrades every connection and sends back what comes, like a runtime's streaming server.
func echoServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") == "" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\n\r\n", req.Header.Get("Upgrade"))
		io.Copy(conn, rw) //nolint:errcheck // ends with the client
	}))
	t.Cleanup(server.Close)
	return server.URL + "/exec/token"
}

func TestExecJoinsClientAndRuntime(t *testing.T) {
	runtime := &memoryRuntime{streaming: echoServer(t)}
	s := testServer(runtime, []*v1.Pod{testPod()})
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	u, _ := url.Parse(server.URL)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /exec/ns/web/u1/app?command=ls&command=-l&input=1&output=1&tty=1&error=1 HTTP/1.1\r\nHost: node\r\nX-Name: admin\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", resp, err)
	}
	defer resp.Body.Close()
	fmt.Fprint(conn, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	asked := runtime.execs[0]
	if asked.ContainerId != "c1" || strings.Join(asked.Cmd, " ") != "ls -l" || !asked.Stdin || !asked.Stdout || !asked.Tty || asked.Stderr {
		t.Errorf("asked the runtime for %+v", asked)
	}
}

func TestStreamsThatCannotBe(t *testing.T) {
	s := testServer(&memoryRuntime{streaming: echoServer(t)}, []*v1.Pod{testPod()})
	for path, code := range map[string]int{
		"/exec/ns/web/app?command=ls":           http.StatusBadRequest,          // no stream
		"/exec/ns/web/idle?command=ls&output=1": http.StatusInternalServerError, // does not run
		"/exec/ns/web/other-uid/app?output=1":   http.StatusNotFound,            // another pod of the name
		"/portForward/ns/web?port=99999":        http.StatusBadRequest,
		"/attach/ns/none/app?output=1":          http.StatusNotFound,
	} {
		req := httptest.NewRequest(http.MethodPost, "https://node"+path, nil)
		req.Header.Set("X-Name", "admin")
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "SPDY/3.1")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, req)
		if w.Code != code {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, code)
		}
		if strings.Contains(w.Body.String(), "unable to upgrade") {
			t.Errorf("%s: %s, which clients say themselves", path, w.Body)
		}
	}
	for path, code := range map[string]int{
		"/exec/ns/web/app?command=ls&output=1": http.StatusBadRequest, // no upgrade
		"/checkpoint/ns/web/app":               http.StatusMethodNotAllowed,
		"/containerLogs/ns/web":                http.StatusNotFound,
	} {
		if w := get(s, path); w.Code != code {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, code)
		}
	}
	s.Debugging = false
	if w := get(s, "/exec/ns/web/app?command=ls&output=1"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("exec although debugging is disabled: %d", w.Code)
	}
}

func u64(n uint64) *runtimeapi.UInt64Value { return &runtimeapi.UInt64Value{Value: n} }

func runtimeStats(at time.Time, cpu uint64) []*runtimeapi.PodSandboxStats {
	use := &runtimeapi.CpuUsage{Timestamp: at.UnixNano(), UsageCoreNanoSeconds: u64(cpu)}
	mem := &runtimeapi.MemoryUsage{Timestamp: at.UnixNano(), WorkingSetBytes: u64(4096), UsageBytes: u64(8192)}
	return []*runtimeapi.PodSandboxStats{{
		Attributes: &runtimeapi.PodSandboxAttributes{Id: "s1", Metadata: &runtimeapi.PodSandboxMetadata{Name: "web", Namespace: "ns", Uid: "u1"}},
		Linux: &runtimeapi.LinuxPodSandboxStats{Cpu: use, Memory: mem,
			Network:    &runtimeapi.NetworkUsage{Timestamp: at.UnixNano(), DefaultInterface: &runtimeapi.NetworkInterfaceUsage{Name: "eth0", RxBytes: u64(1), TxBytes: u64(2)}},
			Containers: []*runtimeapi.ContainerStats{{Attributes: &runtimeapi.ContainerAttributes{Id: "c1", Metadata: &runtimeapi.ContainerMetadata{Name: "app"}}, Cpu: use, Memory: mem}}},
	}}
}

func TestSummary(t *testing.T) {
	began := time.Now()
	runtime := &memoryRuntime{stats: runtimeStats(began, 1e9)}
	s := testServer(runtime, []*v1.Pod{testPod()})
	read := func() stats.Summary {
		var out stats.Summary
		w := get(s, "/stats/summary")
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		return out
	}
	first := read()
	if first.Pods[0].Containers[0].CPU.UsageNanoCores != nil {
		t.Error("a rate from one point")
	}
	runtime.stats = runtimeStats(began.Add(10*time.Second), 6e9)
	second := read()
	pod := second.Pods[0]
	if pod.PodRef.Name != "web" || pod.Containers[0].Name != "app" || *pod.Containers[0].Memory.WorkingSetBytes != 4096 || *pod.Network.RxBytes != 1 {
		t.Errorf("%+v", pod)
	}
	if got := *pod.Containers[0].CPU.UsageNanoCores; got != 5e8 {
		t.Errorf("5 s of 10 s are %d nanocores", got)
	}
	if second.Node.NodeName != "n1" || second.Node.Memory.WorkingSetBytes == nil || *second.Node.CPU.UsageCoreNanoSeconds == 0 || second.Node.Fs == nil {
		t.Errorf("node %+v", second.Node)
	}
}

func TestMetrics(t *testing.T) {
	s := testServer(&memoryRuntime{stats: runtimeStats(time.UnixMilli(1700000000000), 2e9)}, []*v1.Pod{testPod()})
	for path, lines := range map[string][]string{
		"/metrics/resource": {
			`container_cpu_usage_seconds_total{container="app",namespace="ns",pod="web"} 2 1700000000000`,
			`container_memory_working_set_bytes{container="app",namespace="ns",pod="web"} 4096 1700000000000`,
			`container_start_time_seconds{container="app",namespace="ns",pod="web"} 1000`,
			`pod_memory_working_set_bytes{namespace="ns",pod="web"} 4096 1700000000000`,
			`resource_scrape_error 0`, `node_cpu_usage_seconds_total `,
		},
		"/metrics": {`kubelet_node_name{node="n1"} 1`, `kubelet_running_containers{container_state="running"} 1`, `kubelet_http_inflight_requests{long_running="false",method="GET",path="metrics",server_type="readwrite"} 1`},
		"/metrics/cadvisor": {
			`container_cpu_usage_seconds_total{container="app",cpu="total",id="/kubepods/podu1/c1",image="img",name="c1",namespace="ns",pod="web"} 2 1700000000000`,
			`container_network_receive_bytes_total{container="",id="/kubepods/podu1",image="",interface="eth0",name="",namespace="ns",pod="web"} 1 1700000000000`,
			`machine_memory_bytes{`,
		},
	} {
		w := get(s, path)
		for _, line := range lines {
			if !strings.Contains(w.Body.String(), line) {
				t.Errorf("%s lacks %s:\n%s", path, line, w.Body)
			}
		}
	}
}
