package smoke

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPodsInDetail runs pods of many kinds side by side.
func TestPodsInDetail(t *testing.T) {
	s := newSpace(t)
	s.apply(podSettings)
	for _, tt := range []struct {
		name string
		run  func(space)
	}{
		{"ProbeExec", func(s space) {
			probed(s, "exec", "touch /tmp/ok$PORT", "rm /tmp/ok$PORT", "exec: {command: [sh, -c, test -e /tmp/ok$PORT]}")
		}},
		{"ProbeHTTP", func(s space) {
			probed(s, "http", "mkdir -p /tmp/www; touch /tmp/www/ok; httpd -p $PORT -h /tmp/www", "rm /tmp/www/ok", "httpGet: {path: /ok, port: $PORT}")
		}},
		{"ProbeTCP", func(s space) {
			probed(s, "tcp", "witness serve --tcp=$PORT & echo $! > /tmp/pid", "kill $(cat /tmp/pid)", "tcpSocket: {port: $PORT}")
		}},
		{"ProbeGRPC", func(s space) {
			probed(s, "grpc", "witness serve --grpc=$PORT & echo $! > /tmp/pid", "kill $(cat /tmp/pid)", "grpc: {port: $PORT}")
		}},
		{"StartupProbe", startupProbeHoldsOthersBack},
		{"Sidecars", sidecarsBeginFirstAndEndLast},
		{"RestartPolicies", restartPolicies},
		{"Termination", podsEndInOrder},
		{"PostStart", postStartFails},
		{"Deadline", podsHaveDeadlines},
		{"TerminationMessage", terminationMessages},
		{"ImagePull", imagesThatCannotBePulled},
		{"Logs", logsOfAPod},
		{"Attach", attachToAPod},
		{"Environment", environment},
		{"ProjectedVolumes", projectedVolumes},
		{"MemoryVolume", memoryVolume},
		{"SubPath", subPaths},
		{"SecurityContext", securityContext},
		{"Resources", resourceLimits},
		{"OutOfMemory", outOfMemory},
		{"HostAliases", hostAliases},
		{"SharedProcesses", sharedProcesses},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(s.in(t)) })
	}
}

// field reads a field of a pod.
func (s space) field(pod, path string) string {
	s.t.Helper()
	return s.must("get", "pod", pod, "-o", "jsonpath={"+path+"}")
}

// tells waits for an event of the pod with the reason and a message that contains text.
func (s space) tells(pod, reason, text string) {
	s.t.Helper()
	s.until("event "+reason+" of "+pod+": "+text, func() (string, bool) {
		out, err := s.try("get", "events", "--field-selector=involvedObject.name="+pod, "-o", `jsonpath={range .items[*]}{.reason}: {.message}{"\n"}{end}`)
		if err != nil {
			return err.Error(), false
		}
		return out, slices.ContainsFunc(strings.Split(out, "\n"), func(l string) bool { return strings.HasPrefix(l, reason+": ") && strings.Contains(l, text) })
	})
}

// probed breaks what the probe looks at: the container with the liveness probe is restarted, the one with the readiness
// probe gets no traffic and goes on.
func probed(s space, name, command, breakIt, probe string) {
	container := func(kind, port string) string {
		at := func(text string) string { return strings.ReplaceAll(text, "$PORT", port) }
		return `
  - name: ` + kind + `
    image: IMAGE
    command: [sh, -c, "` + at(command) + `; sleep 100000"]
    ` + kind + `Probe: {` + at(probe) + `, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1}
    startupProbe: {` + at(probe) + `, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 30}`
	}
	name = "probe-" + name
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  terminationGracePeriodSeconds: 0
  containers:` + container("liveness", "9001") + container("readiness", "9002"))
	s.must("wait", "--for=condition=Ready", "pod/"+name, "--timeout=90s")
	for container, port := range map[string]string{"liveness": "9001", "readiness": "9002"} {
		s.must("exec", name, "-c", container, "--", "sh", "-c", strings.ReplaceAll(breakIt, "$PORT", port))
	}
	state := func() (string, bool) {
		out := s.field(name, `range .status.containerStatuses[*]}{.name} {.restartCount} {.ready};{end`)
		return out, strings.Contains(out, "liveness 1 true;") && strings.Contains(out, "readiness 0 false;")
	}
	s.until("liveness to be restarted and readiness to be unready", state)
	s.tells(name, "Unhealthy", "Liveness probe failed")
	s.tells(name, "Unhealthy", "Readiness probe failed")
	s.tells(name, "Killing", "Container liveness failed liveness probe, will be restarted")
}

func startupProbeHoldsOthersBack(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: IMAGE
    command: [sleep, "100000"]
    startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 100}
    livenessProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: never}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: IMAGE
    command: [sleep, "100000"]
    startupProbe: {exec: {command: ["false"]}, periodSeconds: 1, failureThreshold: 2}
`)
	s.tells("slow", "Unhealthy", "Startup probe failed")
	s.tells("never", "Killing", "failed startup probe, will be restarted")
	s.until("never to be restarted", func() (string, bool) {
		out := s.field("never", ".status.containerStatuses[0].restartCount")
		return out, out != "0"
	})
	if out := s.field("slow", `.status.containerStatuses[0]['started','ready','restartCount']`); out != "false false 0" {
		s.t.Errorf("started, ready, restarts before the startup probe succeeds: %s", out)
	}
	s.must("exec", "slow", "--", "touch", "/tmp/up")
	s.must("wait", "--for=condition=Ready", "pod/slow", "--timeout=90s")
	if out := s.field("slow", `.status.containerStatuses[0]['started','restartCount']`); out != "true 0" {
		s.t.Errorf("started, restarts after it: %s", out)
	}
}

// sidecarsBeginFirstAndEndLast: init containers with restartPolicy Always (KEP-753) start in order, the next one when the
// startup probe of the one before succeeds, and end in the reverse order after the main containers.
func sidecarsBeginFirstAndEndLast(s space) {
	sidecar := func(name string) string {
		return `
  - name: ` + name + `
    image: IMAGE
    restartPolicy: Always
    command: [sh, -c, "trap 'echo ` + name + ` ends; exit 0' TERM; sleep 0.5; touch /tmp/up; echo ` + name + ` runs; sleep 100000 & wait"]
    startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 60}`
	}
	once := func(name string) string {
		return `
  - {name: ` + name + `, image: IMAGE, command: [echo, ` + name + `]}`
	}
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ordered}
spec:
  restartPolicy: Never
  initContainers:` + once("one") + sidecar("first") + once("two") + sidecar("second") + `
  containers:` + once("main"))
	s.must("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/ordered", "--timeout=90s")
	lines := strings.Split(s.must("logs", "ordered", "--all-containers", "--timestamps"), "\n")
	slices.Sort(lines)
	var order []string
	for _, l := range lines {
		_, text, _ := strings.Cut(l, " ")
		order = append(order, text)
	}
	if got, want := strings.Join(order, ", "), "one, first runs, two, second runs, main, second ends, first ends"; got != want {
		s.t.Errorf("order %s\nwant  %s", got, want)
	}
}

func restartPolicies(s space) {
	pod := func(name, policy, script string) string {
		return `
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  restartPolicy: ` + policy + `
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sh, -c, "` + script + `"], volumeMounts: [{name: state, mountPath: /state}]}]
  volumes: [{name: state, emptyDir: {}}]
---`
	}
	s.apply(pod("always", "Always", "exit 1") + pod("on-failure", "OnFailure", "test -e /state/again || { touch /state/again; exit 1; }") +
		pod("succeeds", "OnFailure", "exit 0") + pod("never-again", "Never", "exit 3"))
	for pod, want := range map[string]string{"on-failure": "Succeeded 1", "succeeds": "Succeeded 0", "never-again": "Failed 0"} {
		s.eventually(want, "get", "pod", pod, "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}")
	}
	if out := s.field("never-again", ".status.containerStatuses[0].state.terminated['exitCode','reason']"); out != "3 Error" {
		s.t.Errorf("exit code and reason %q", out)
	}
	s.eventually("CrashLoopBackOff", "get", "pod", "always", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
	s.tells("always", "BackOff", "Back-off restarting failed container c in pod always")
	s.until("why it waits, when it does again", func() (string, bool) {
		out := s.field("always", ".status.containerStatuses[0].state.waiting.message")
		return out, strings.Contains(out, "back-off") && strings.Contains(out, "restarting failed container=c")
	})
}

// podsEndInOrder: preStop, then SIGTERM, and SIGKILL when the grace period is over.
func podsEndInOrder(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: polite}
spec:
  terminationGracePeriodSeconds: 30
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c, "trap 'echo asked to end; exit 0' TERM; echo begun; sleep 100000 & wait"]
    lifecycle: {preStop: {exec: {command: [sh, -c, "echo prepares > /proc/1/fd/1; sleep 1; echo prepared > /proc/1/fd/1"]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 2
  containers: [{name: c, image: IMAGE, command: [sh, -c, "trap '' TERM; while true; do sleep 1; done"]}]
`)
	s.must("wait", "--for=condition=Ready", "pod/polite", "pod/stubborn", "--timeout=90s")
	logs := make(chan string, 1)
	go func() {
		out, err := s.try("logs", "--follow", "polite")
		logs <- fmt.Sprint(out, err)
	}()
	s.eventually("begun", "logs", "polite")
	began := time.Now()
	s.must("delete", "pod", "polite", "stubborn")
	if took := time.Since(began); took < 2*time.Second || took >= 30*time.Second { // the grace period of those that set none
		s.t.Errorf("deleting took %v, want the grace period of 2 s and little more", took)
	}
	if got, want := <-logs, "begun\nprepares\nprepared\nasked to end\n<nil>"; got != want {
		s.t.Errorf("log %q, want %q", got, want)
	}
}

func postStartFails(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"], lifecycle: {postStart: {exec: {command: [sh, -c, "echo no luck >&2; exit 7"]}}}}]
`)
	s.tells("hooked", "FailedPostStartHook", "")
	s.tells("hooked", "Killing", "FailedPostStartHook")
	s.until("the container to be restarted", func() (string, bool) {
		out := s.field("hooked", ".status.containerStatuses[0].restartCount")
		return out, out != "0" && out != ""
	})
}

func podsHaveDeadlines(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  activeDeadlineSeconds: 2
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
`)
	s.eventually("Failed DeadlineExceeded", "get", "pod", "late", "-o", "jsonpath={.status.phase} {.status.reason}")
	if out := s.field("late", ".status.message"); out != "Pod was active on the node longer than the specified deadline" {
		s.t.Errorf("message %q", out)
	}
}

func terminationMessages(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: last-words}
spec:
  restartPolicy: Never
  containers:
  - {name: a, image: IMAGE, command: [sh, -c, "echo written > /dev/termination-log"]}
  - {name: b, image: IMAGE, terminationMessagePath: /tmp/end, command: [sh, -c, "echo elsewhere > /tmp/end"]}
  - {name: c, image: IMAGE, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, "echo logged; exit 1"]}
  - {name: d, image: IMAGE, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, "echo logged"]}
`)
	s.must("wait", "--for=jsonpath={.status.phase}=Failed", "pod/last-words", "--timeout=90s")
	got := s.field("last-words", `range .status.containerStatuses[*]}{.name}={.state.terminated.message};{end`)
	if want := "a=written\n;b=elsewhere\n;c=logged\n;d=;"; got != want {
		s.t.Errorf("messages %q, want %q", got, want)
	}
}

func imagesThatCannotBePulled(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: no-image}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "127.0.0.1:1/none:1"}]
---
apiVersion: v1
kind: Pod
metadata: {name: never-pulled}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "127.0.0.1:1/none:1", imagePullPolicy: Never}]
`)
	s.tells("no-image", "Pulling", `Pulling image "127.0.0.1:1/none:1"`)
	s.tells("no-image", "Failed", `Failed to pull image "127.0.0.1:1/none:1": `)
	s.tells("no-image", "Failed", "Error: ErrImagePull")
	s.tells("no-image", "BackOff", `Back-off pulling image "127.0.0.1:1/none:1"`)
	s.eventually("ImagePullBackOff", "get", "pod", "no-image", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
	s.tells("never-pulled", "ErrImageNeverPull", `Container image "127.0.0.1:1/none:1" is not present with pull policy of Never`)
}

func logsOfAPod(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: talks, labels: {app: talks}}
spec:
  restartPolicy: Never
  containers:
  - {name: a, image: IMAGE, command: [sh, -c, "echo old; sleep 2; echo new; sleep 0.5; echo error >&2"]}
  - {name: b, image: IMAGE, command: [echo, other]}
`)
	s.must("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/talks", "--timeout=90s")
	stamped := strings.Split(s.must("logs", "talks", "-c", "a", "--timestamps"), "\n")
	middle, _, _ := strings.Cut(stamped[1], " ")
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"old\nnew\nerror", []string{"talks", "-c", "a"}},
		{"new\nerror", []string{"talks", "-c", "a", "--tail=2"}},
		{"new\nerror", []string{"talks", "-c", "a", "--since-time=" + middle}},
		{"", []string{"talks", "-c", "b", "--since=1s"}},
		{"old\nn", []string{"talks", "-c", "a", "--limit-bytes=5"}},
		{"[pod/talks/b] other", []string{"-l", "app=talks", "-c", "b", "--prefix"}},
	} {
		if out := s.must(append([]string{"logs"}, tt.args...)...); out != tt.want {
			s.t.Errorf("logs %v: %q, want %q", tt.args, out, tt.want)
		}
	}
	if _, err := s.try("logs", "talks", "-c", "a", "--previous"); err == nil || !strings.Contains(err.Error(), `previous terminated container "a" in pod "talks" not found`) {
		s.t.Errorf("logs of a container that was never restarted: %v", err)
	}
}

// attachToAPod types into the process that runs already.
func attachToAPod(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: listens}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, stdin: true, stdinOnce: true, command: [sh, -c, "while read -r l; do echo heard $l; done"]}]
`)
	s.must("wait", "--for=condition=Ready", "pod/listens", "--timeout=90s")
	out, err := run(context.Background(), "hello\n", "bin/kubectl", "--namespace="+s.name, "attach", "--stdin", "listens")
	if err != nil || !strings.Contains(out, "heard hello") {
		s.t.Errorf("attach printed %q: %v", out, err)
	}
	s.eventually("Succeeded", "get", "pod", "listens", "-o", "jsonpath={.status.phase}")
}

// TestPodsLeaveNoCgroups: neither does a pod with a process that a broken-off start left in its cgroup, nor one that never had
// a container.
func TestPodsLeaveNoCgroups(t *testing.T) {
	s := newSpace(t)
	onWorker := func(script string) string {
		t.Helper()
		out, err := run(context.Background(), "", "bin/cluster", "shell", "--name="+clusterName(), "--node=worker-1", "--", "sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: haunted}
spec:
  terminationGracePeriodSeconds: 0
  nodeSelector: {kubernetes.io/hostname: worker-1}
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: ` + s.name + `}
handler: there-is-none
---
apiVersion: v1
kind: Pod
metadata: {name: unborn}
spec:
  runtimeClassName: ` + s.name + `
  terminationGracePeriodSeconds: 0
  nodeSelector: {kubernetes.io/hostname: worker-1}
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
`)
	t.Cleanup(func() { s.must("delete", "runtimeclass", s.name) })
	s.must("wait", "pod/haunted", "--for=condition=Ready", "--timeout=60s")
	s.must("wait", "--for=create", "event", "--field-selector=involvedObject.name=unborn,reason=FailedCreatePodSandBox", "--timeout=60s")
	for _, pod := range []string{"haunted", "unborn"} {
		cgroups := "$(find /sys/fs/cgroup -type d -name 'pod" + s.must("get", "pod", pod, "-o", "jsonpath={.metadata.uid}") + "')"
		if out := onWorker("for d in " + cgroups + "; do echo there; done"); out == "" {
			t.Errorf("pod %s has no cgroup", pod)
		}
		if pod == "haunted" {
			onWorker("sleep 100000 >/dev/null 2>&1 & for d in " + cgroups + "; do mkdir $d/leftover && echo $! >$d/leftover/cgroup.procs; done")
		}
		s.must("delete", "pod", pod, "--timeout=30s")
		s.until("no cgroup of pod "+pod, func() (string, bool) { // its runtime takes some away, with the sandbox
			out := onWorker("for d in " + cgroups + "; do echo $d; done")
			return out, out == ""
		})
	}
}
