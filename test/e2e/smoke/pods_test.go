package smoke

import (
	"strings"
	"testing"
)

const pod = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: one}
---
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
  - {name: prepare, image: IMAGE, command: [sh, -c, "echo prepared > /shared/state"], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - name: app
    image: IMAGE
    command: [sh, -c, "rm -f /tmp/dead; while true; do sleep 1; done"]
    env:
    - {name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: mode}}}
    - {name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    livenessProbe: {exec: {command: [sh, -c, "! test -e /tmp/dead"]}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1}
    volumeMounts: [{name: settings, mountPath: /settings}, {name: shared, mountPath: /shared}]
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: shared, emptyDir: {}}
`

// TestPodLives: init container, environment, volumes that follow their objects, exec, cp, and a restart by a probe.
func TestPodLives(t *testing.T) {
	s := newSpace(t)
	s.apply(pod)
	s.must("wait", "--for=condition=Ready", "pod/app", "--timeout=90s")
	if out := s.must("exec", "app", "--", "sh", "-c", "echo $MODE $WHO; cat /shared/state /settings/mode"); out != "one app\nprepared\none" {
		t.Errorf("inside the pod: %q", out)
	}
	s.must("patch", "configmap", "settings", "-p", `{"data":{"mode":"two"}}`)
	s.eventually("two", "exec", "app", "--", "cat", "/settings/mode")
	s.must("cp", root()+"/LICENSE", "app:/tmp/LICENSE")
	if out := s.must("exec", "app", "--", "head", "-n", "2", "/tmp/LICENSE"); !strings.Contains(out, "Apache License") {
		t.Errorf("the copy begins with %q", out)
	}
	s.must("exec", "app", "--", "touch", "/tmp/dead")
	s.eventually("1", "get", "pod", "app", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
	s.must("wait", "--for=condition=Ready", "pod/app", "--timeout=90s")
	if out := s.must("debug", "app", "--image="+image, "--target=app", "--container=look", "--", "sh", "-c", "ps | grep -c 'sleep 1'"); out == "" {
		s.eventually("Completed", "get", "pod", "app", "-o", `jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason}`)
	}
}

func TestFaultsAreAllNamed(t *testing.T) {
	s := newSpace(t)
	_, err := s.tryWith(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: bad}
spec:
  replicas: -1
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: b}}
    spec: {containers: [{name: C_, image: x}]}
`, "create", "-f", "-")
	if err == nil {
		t.Fatal("an invalid Deployment was accepted")
	}
	for _, want := range []string{"spec.replicas: Invalid value: -1: must be greater than or equal to 0", "spec.template.metadata.labels", "spec.template.spec.containers[0].name"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if out, err := s.try("get", "deployments"); err != nil || strings.Contains(out, "bad") {
		t.Errorf("something was stored: %s %v", out, err)
	}
}

// TestUserNamespaceIsNotTheHosts: hostUsers: false gives root in the pod another identity on the node.
func TestUserNamespaceIsNotTheHosts(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: apart}
spec:
  hostUsers: false
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
`)
	s.must("wait", "--for=condition=Ready", "pod/apart", "--timeout=90s")
	fields := strings.Fields(s.must("exec", "apart", "--", "cat", "/proc/self/uid_map"))
	if len(fields) != 3 || fields[0] != "0" || fields[1] == "0" {
		t.Errorf("uid_map %v: root of the pod is root of the node", fields)
	}
}
