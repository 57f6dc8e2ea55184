package smoke

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: COLOUR, size: small}\n"

// loop is a pod that runs until it is deleted.
const loop = `
apiVersion: v1
kind: Pod
metadata: {name: app, labels: {app: app}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: app, image: IMAGE, command: [sh, -c, "echo started; mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"]}]
`

// TestFieldsHaveOwners: diff tells what apply would change, a second manager of a field is refused until it insists.
func TestFieldsHaveOwners(t *testing.T) {
	s := newSpace(t)
	red, blue := strings.ReplaceAll(settings, "COLOUR", "red"), strings.ReplaceAll(settings, "COLOUR", "blue")
	s.apply(red)
	if _, err := s.tryWith(red, "diff", "-f", "-"); err != nil {
		t.Errorf("diff of what is applied: %v", err)
	}
	_, err := s.tryWith(blue, "diff", "-f", "-")
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(err.Error(), "-  colour: red\n+  colour: blue") {
		t.Errorf("diff of a change, want exit code 1 and the line: %v", err)
	}
	s.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n")
	if out := s.must("get", "configmap", "settings", "-o", "jsonpath={.data}"); out != `{"colour":"blue"}` {
		t.Errorf("a field that was left out stays: %s", out)
	}

	server := func(manager, manifest string, more ...string) error {
		_, err := s.tryWith(strings.ReplaceAll(manifest, "settings", "owned"), append([]string{"apply", "--server-side", "--field-manager=" + manager, "-f", "-"}, more...)...)
		return err
	}
	if err := server("ann", red); err != nil {
		t.Fatal(err)
	}
	if err := server("bob", blue); err == nil || !strings.Contains(err.Error(), `conflict with "ann": .data.colour`) {
		t.Errorf("bob changes ann's field: %v", err)
	}
	if err := server("bob", blue, "--force-conflicts"); err != nil {
		t.Error(err)
	}
	managers := s.must("get", "configmap", "owned", "--show-managed-fields", "-o", `jsonpath={range .metadata.managedFields[*]}{.manager} {.operation} {.fieldsV1.f:data}{"\n"}{end}`)
	if !strings.Contains(managers, `bob Apply {".":{},"f:colour":{},"f:size":{}}`) && !strings.Contains(managers, `bob Apply {"f:colour":{},"f:size":{}}`) {
		t.Errorf("managers:\n%s", managers)
	}
	for _, line := range strings.Split(managers, "\n") {
		if strings.HasPrefix(line, "ann ") && strings.Contains(line, "f:colour") {
			t.Errorf("ann still owns the colour: %s", line)
		}
	}
}

func TestEditorChangesAnObject(t *testing.T) {
	s := newSpace(t)
	s.apply(strings.ReplaceAll(settings, "COLOUR", "red"))
	t.Setenv("KUBE_EDITOR", "sed -i s/red/green/")
	s.must("edit", "configmap", "settings")
	if out := s.must("get", "configmap", "settings", "-o", "jsonpath={.data.colour}"); out != "green" {
		t.Errorf("after the edit the colour is %q", out)
	}
}

// TestTerminalInAPod types into a shell through a pseudo-terminal.
func TestTerminalInAPod(t *testing.T) {
	s := newSpace(t)
	s.apply(loop)
	s.must("wait", "--for=condition=Ready", "pod/app", "--timeout=90s")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	kubectl := filepath.Join(root(), "bin/kubectl") + " --namespace=" + s.name + " exec --stdin --tty app -- sh"
	cmd := exec.CommandContext(ctx, "script", "--quiet", "--return", "--command", kubectl, os.DevNull)
	cmd.Stdin = strings.NewReader("test -t 0 && echo ter'minal' $((40+2))\nexit 7\n")
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "terminal 42") {
		t.Errorf("the shell printed %q", out)
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("the shell left with %v, want exit status 7", err)
	}
}

// TestLogsAreFollowed until the container ends; tail, time stamps and the container before a restart are to be had.
func TestLogsAreFollowed(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: count}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [sh, -c, "for i in 1 2 3; do echo line $i; sleep 1; done"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: again}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sh, -c, "test -e /state/second && { echo second; sleep 100000; }; touch /state/second; echo first"], volumeMounts: [{name: state, mountPath: /state}]}]
  volumes: [{name: state, emptyDir: {}}]
`)
	s.until("the container to have begun", func() (string, bool) {
		out, err := s.try("logs", "count")
		return out, err == nil
	})
	if out := s.must("logs", "count", "--follow"); out != "line 1\nline 2\nline 3" {
		t.Errorf("followed: %q", out)
	}
	if out := s.must("logs", "count", "--tail=1", "--timestamps"); !strings.HasSuffix(out, "Z line 3") {
		t.Errorf("the last line with its time: %q", out)
	}
	s.eventually("second", "logs", "again")
	if out := s.must("logs", "again", "--previous"); out != "first" {
		t.Errorf("before the restart: %q", out)
	}
}

func TestPortIsForwarded(t *testing.T) {
	s := newSpace(t)
	s.apply(loop)
	s.must("wait", "--for=condition=Ready", "pod/app", "--timeout=90s")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root(), "bin/kubectl"), "--namespace="+s.name, "port-forward", "pod/app", ":8080")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() }) // it ends by our signal only
	line, err := bufio.NewReader(out).ReadString('\n')
	address, _, _ := strings.Cut(strings.TrimPrefix(line, "Forwarding from "), " ")
	if err != nil || !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatalf("port-forward printed %q: %v", line, err)
	}
	client := http.Client{Timeout: 10 * time.Second}
	for range 3 {
		resp, err := client.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "hello\n" {
			t.Errorf("the pod answered %q: %v", body, err)
		}
	}
}

// TestWhatAUserReads: describe, explain, events, wait for a path, who am I, what top needs.
func TestWhatAUserReads(t *testing.T) {
	s := newSpace(t)
	s.apply(loop)
	s.must("wait", "--for=jsonpath={.status.phase}=Running", "pod/app", "--timeout=90s")
	for _, tt := range []struct {
		want []string
		args []string
	}{
		{[]string{"Started", "Scheduled", "Pulled"}, []string{"events", "--for=pod/app"}},
		{[]string{"Status:           Running", "QoS Class:", "Successfully assigned " + s.name + "/app to", "PodScheduled"}, []string{"describe", "pod", "app"}},
		{[]string{"FIELD: livenessProbe", "Periodic probe of container liveness"}, []string{"explain", "pod.spec.containers.livenessProbe"}},
		{[]string{"deployments", "apps/v1", "true", "Deployment"}, []string{"api-resources", "--api-group=apps"}},
		{[]string{"kubernetes-admin"}, []string{"auth", "whoami"}},
		{[]string{"*.*"}, []string{"auth", "can-i", "--list"}},
		{[]string{"v1.37"}, []string{"version"}},
		{[]string{"is running at"}, []string{"cluster-info"}},
	} {
		s.until(strings.Join(tt.args, " ")+" to say "+strings.Join(tt.want, ", "), func() (string, bool) {
			out, err := s.try(tt.args...)
			if err != nil {
				return err.Error(), false
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					return out, false
				}
			}
			return out, true
		})
	}
	if _, err := s.try("top", "pods"); err == nil || !strings.Contains(err.Error(), "Metrics API not available") {
		t.Errorf("top without a metrics server: %v", err)
	}
	if _, err := s.try("wait", "--for=condition=Ready=False", "pod/app", "--timeout=1s"); err == nil || !strings.Contains(err.Error(), "timed out waiting for the condition on pods/app") {
		t.Errorf("a wait in vain: %v", err)
	}
}

// TestTokenSpeaksForItsAccount: a token made for a service account authenticates as it, with no other credential.
func TestTokenSpeaksForItsAccount(t *testing.T) {
	s := newSpace(t)
	s.must("create", "serviceaccount", "robot")
	token := s.must("create", "token", "robot", "--duration=10m")
	if out := s.must(s.whoami(token)...); out != "system:serviceaccount:"+s.name+":robot" {
		t.Errorf("the token is taken for %q", out)
	}
	if _, err := s.try(s.whoami(token[:len(token)-6] + "AAAAAA")...); err == nil {
		t.Error("a token with a broken signature is taken")
	}
	s.must("delete", "serviceaccount", "robot")
	who := s.whoami(token)
	s.until("the token to be worth nothing", func() (string, bool) {
		out, err := s.try(who...)
		return out, err != nil && strings.Contains(err.Error(), "Unauthorized")
	})
}

// TestRolloutIsSteered: paused, changed, resumed, restarted, with a history.
func TestRolloutIsSteered(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
`)
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.must("rollout", "pause", "deployment/web")
	s.must("set", "env", "deployment/web", "VERSION=2")
	s.eventually("Unknown DeploymentPaused", "get", "deployment", "web", "-o", `jsonpath={.status.conditions[?(@.type=="Progressing")].status} {.status.conditions[?(@.type=="Progressing")].reason}`)
	if out := s.must("get", "replicasets", "-o", "name"); strings.Count(out, "web") != 1 {
		t.Errorf("a paused rollout made %s", out)
	}
	s.must("rollout", "resume", "deployment/web")
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.must("rollout", "restart", "deployment/web")
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	if out := s.must("rollout", "history", "deployment/web"); !strings.Contains(out, "1 ") || !strings.Contains(out, "2 ") || !strings.Contains(out, "3 ") {
		t.Errorf("history:\n%s", out)
	}
	if out := s.must("rollout", "history", "deployment/web", "--revision=2"); !strings.Contains(out, "VERSION:\t2") {
		t.Errorf("revision 2:\n%s", out)
	}
}
