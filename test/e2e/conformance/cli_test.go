package conformance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// contains checks that a text has each of these parts.
func (s *space) contains(text string, parts ...string) {
	s.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// prints waits until kubectl prints exactly this.
func (s *space) prints(want string, args ...string) {
	s.Helper()
	s.eventually("kubectl "+strings.Join(args, " ")+" to print "+want, func() (any, bool) {
		got := s.kubectl(args...)
		return got, got == want
	})
}

const webController = `
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: 2
  selector: {app: web}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sh, -c, "echo pong > /tmp/index.html; exec httpd -f -p 6379 -h /tmp"], ports: [{containerPort: 6379}]}]
`

// runs waits until the controller web has n pods, all ready.
func (s *space) runs(n int) {
	s.Helper()
	s.prints(strings.TrimSpace(strings.Repeat("true ", n)), "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.containerStatuses[0].ready}")
}

func TestControllerCreatedAndStopped(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Update Demo should create and stop a replication controller")
	s.apply(webController)
	s.runs(2)
	s.kubectl("delete", "rc", "web")
	s.prints("", "get", "rc,pods", "-l", "app=web", "-o", "name")
}

func TestControllerScaled(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Update Demo should scale a replication controller")
	s.apply(webController)
	s.runs(2)
	s.kubectl("scale", "rc", "web", "--replicas=1")
	s.runs(1)
	s.kubectl("scale", "rc", "web", "--replicas=2")
	s.runs(2)
}

func TestPatchOfPodsOfAController(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Kubectl patch should add annotations for pods in rc")
	s.apply(webController)
	s.runs(2)
	for pod := range strings.FieldsSeq(s.kubectl("get", "pods", "-l", "app=web", "-o", "name")) {
		s.kubectl("patch", pod, "-p", `{"metadata":{"annotations":{"x":"y"}}}`)
	}
	s.prints("y y", "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.annotations.x}")
}

func TestExpose(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Kubectl expose should create services for rc")
	s.apply(webController)
	s.runs(2)
	client := s.start(s.pod("client", "sleep 3600"))
	serves := func(service, port string) {
		s.Helper()
		s.prints(port+" 6379", "get", "service", service, "-o", "jsonpath={.spec.ports[0].port} {.spec.ports[0].targetPort}")
		s.eventually(service+" to have two endpoints", func() (any, bool) {
			got := s.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name="+service, "-o", "jsonpath={.items[*].endpoints[*].conditions.ready} {.items[*].ports[*].port}")
			return got, got == "true true 6379"
		})
		address := s.kubectl("get", "service", service, "-o", "jsonpath={.spec.clusterIP}") + ":" + port
		s.eventually(service+" to answer", func() (any, bool) {
			out, err := s.tryKubectl("", "exec", client.Name, "--", "wget", "-qO-", "http://"+address+"/")
			return fmt.Sprint(out, err), strings.TrimSpace(out) == "pong"
		})
	}
	s.kubectl("expose", "rc", "web", "--name=rm2", "--port=1234", "--target-port=6379")
	serves("rm2", "1234")
	s.kubectl("expose", "service", "rm2", "--name=rm3", "--port=2345", "--target-port=6379")
	serves("rm3", "2345")
}

func TestLabels(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Kubectl label should update the label on a resource")
	s.start(s.pod("p", "sleep 3600"))
	s.kubectl("label", "pod", "p", "testing=value")
	s.prints("pod/p", "get", "pods", "-l", "testing=value", "-o", "name")
	s.contains(s.kubectl("get", "pod", "p", "-L", "testing"), "TESTING", "value")
	s.kubectl("label", "pod", "p", "testing-")
	s.prints("", "get", "pods", "-l", "testing", "-o", "name")
}

func TestReplaceImage(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Kubectl replace should update a single-container pod's image")
	before := s.start(s.pod("p", "sleep 3600"))
	manifest := s.kubectl("get", "pod", "p", "-o", "json")
	const other = "pilotis.dev/test/other:1"
	if _, err := s.tryKubectl(strings.ReplaceAll(manifest, image, other), "replace", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	s.prints(other, "get", "pod", "p", "-o", "jsonpath={.spec.containers[0].image}")
	recreated := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: " + image + ", command: [sleep, '3600']}]}\n"
	if _, err := s.tryKubectl(recreated, "replace", "--force", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if uid := s.kubectl("get", "pod", "p", "-o", "jsonpath={.metadata.uid}"); uid == string(before.UID) {
		t.Error("replace --force keeps the pod")
	}
	s.prints(image, "get", "pod", "p", "-o", "jsonpath={.spec.containers[0].image}")
}

func TestServerDryRun(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run update Pods")
	s.kubectl("run", "p", "--image="+image, "--labels=run=p", "--command", "--", "sleep", "3600")
	out := s.kubectl("patch", "pod", "p", "-p", `{"spec":{"containers":[{"name":"p","image":"pilotis.dev/test/other:1"}]}}`, "--dry-run=server", "-o", "jsonpath={.spec.containers[0].image}")
	if out != "pilotis.dev/test/other:1" {
		t.Errorf("the dry run gives the image %s", out)
	}
	if got := s.kubectl("get", "pod", "p", "-o", "jsonpath={.spec.containers[0].image}"); got != image {
		t.Errorf("the dry run has changed the image to %s", got)
	}
}

func TestDiff(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Kubectl diff should check if kubectl diff finds a difference for Deployments")
	const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {replicas: 0, selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {containers: [{name: c, image: IMAGE}]}}}
`
	s.apply(deployment)
	out, err := s.tryKubectl(strings.ReplaceAll(deployment, "IMAGE", "pilotis.dev/test/other:1"), "diff", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("kubectl diff ends with %v, which should be 1", err)
	}
	if !regexp.MustCompile(`(?s)-\s*- image: ` + regexp.QuoteMeta(image) + `.*\+\s*- image: pilotis.dev/test/other:1`).MatchString(out) {
		t.Errorf("the images are not in:\n%s", out)
	}
}

func TestKubectlVersion(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Kubectl version should check is all data is printed")
	out := s.kubectl("version", "-o", "yaml")
	for _, field := range []string{"major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"} {
		if n := len(regexp.MustCompile(`(?m)^  `+field+`: \S+`).FindAllString(out, -1)); n != 2 {
			t.Errorf("%s is told %d times, for client and server it is 2:\n%s", field, n, out)
		}
	}
}

func TestClusterInfo(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info")
	s.contains(s.kubectl("cluster-info"), "Kubernetes control plane", "is running at", s.Config.Host)
}

func TestKubectlProxyOnAnyPort(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl client Proxy server should support proxy with --port 0")
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	proxy := exec.CommandContext(ctx, filepath.Join(root(), "bin/kubectl"), "proxy", "--port=0", "--disable-filter")
	out := must[io.ReadCloser](s)(proxy.StdoutPipe())
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = proxy.Wait() }()
	line := must[string](s)(bufio.NewReader(out).ReadString('\n'))
	address := regexp.MustCompile(`127\.0\.0\.1:[1-9]\d*`).FindString(line)
	response, err := http.Get("http://" + address + "/api/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	s.contains(string(must[[]byte](s)(io.ReadAll(response.Body))), `"v1"`)
}

func TestLogsFiltered(t *testing.T) {
	s := behaviour(t, "[sig-cli] Kubectl logs logs should be able to retrieve and filter logs")
	pod := s.start(s.pod("p", "for i in 1 2 3 4 5; do echo line $i; done; echo last > /tmp/done; exec sleep 3600"))
	s.eventually("five lines", func() (any, bool) {
		out := s.log(pod, "c")
		return out, strings.Count(out, "\n") == 5
	})
	s.contains(s.kubectl("logs", "p", "c"), "line 1", "line 5")
	if out := s.kubectl("logs", "p", "--tail=1"); out != "line 5" {
		t.Errorf("--tail=1: %q", out)
	}
	if out := s.kubectl("logs", "p", "--limit-bytes=1"); out != "l" {
		t.Errorf("--limit-bytes=1: %q", out)
	}
	stamp, _, _ := strings.Cut(s.kubectl("logs", "p", "--tail=1", "--timestamps"), " ")
	written, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		t.Error(err)
	}
	s.eventually("the lines to be older than a second", func() (any, bool) { return written, time.Since(written) > 2*time.Second })
	if out := s.kubectl("logs", "p", "--since=1s"); out != "" {
		t.Errorf("--since=1s: %q", out)
	}
	if out := s.kubectl("logs", "p", "--since=24h"); strings.Count(out, "line") != 5 {
		t.Errorf("--since=24h: %q", out)
	}
}
