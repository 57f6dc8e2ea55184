package conformance

import "testing"

func TestContainerThatCannotStart(t *testing.T) {
	s := documented(t, "[sig-node] Pods should fail when a container that does not restart cannot start")
	s.apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  backoffLimit: 0
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: IMAGE, command: [nosuch]}]}}
`)
	if got := s.failure("j"); got != "BackoffLimitExceeded" {
		t.Errorf("the Job failed because of %s", got)
	}
	s.shows("StartError", "pod/"+s.names("pods", jobPods)[0], ".status.containerStatuses[0].state.terminated.reason")
}

func TestRestartsOfContainers(t *testing.T) {
	s := documented(t, "[sig-node] Pods should follow the restart policies and rules of their containers")
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: always}
spec: {restartPolicy: Never, containers: [{name: c, image: IMAGE, restartPolicy: Always, command: [sh, -c, exit 3]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: by-rule}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}], command: [sh, -c, exit 42]}]
---
apiVersion: v1
kind: Pod
metadata: {name: once}
spec: {containers: [{name: c, image: IMAGE, restartPolicy: Never, command: [sh, -c, exit 3]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: once-well}
spec: {containers: [{name: c, image: IMAGE, restartPolicy: Never, command: [sh, -c, exit 0]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: first-once}
spec:
  initContainers: [{name: i, image: IMAGE, restartPolicy: Never, command: [sh, -c, exit 3]}]
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"]}]
`)
	s.shows("Failed", "pod/once", ".status.phase")
	s.shows("Succeeded", "pod/once-well", ".status.phase")
	s.shows("Failed", "pod/first-once", ".status.phase")
	if got := s.read("pod/first-once", ".status.initContainerStatuses[0].restartCount"); got != "0" {
		t.Errorf("the init container was restarted %s times", got)
	}
	for _, pod := range []string{"pod/always", "pod/by-rule"} {
		s.shows("2", pod, ".status.containerStatuses[0].restartCount")
		if got := s.read(pod, ".status.phase"); got != "Running" {
			t.Errorf("%s is %s", pod, got)
		}
	}
}

func TestReadinessOfAnEndingPod(t *testing.T) {
	s := documented(t, "[sig-node] Pods should tell their readiness while they end")
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: p}}
spec:
  terminationGracePeriodSeconds: 120
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c, "trap '' TERM; while true; do sleep 1; done"]
    readinessProbe: {exec: {command: [sh, -c, "! test -e /tmp/ending"]}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1}
    lifecycle: {preStop: {exec: {command: [touch, /tmp/ending]}}}
---
apiVersion: v1
kind: Service
metadata: {name: p}
spec: {selector: {app: p}, ports: [{port: 80}]}
`)
	const ready = `.status.conditions[?(@.type=="Ready")].status`
	s.shows("True", "pod/p", ready)
	s.kubectl("delete", "pod", "p", "--wait=false")
	s.shows("False", "pod/p", ready)
	s.eventually("the endpoint to be terminating and not serving", func() (any, bool) {
		got := s.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=p", "-o", "jsonpath={.items[0].endpoints[0].conditions}")
		return got, got == `{"ready":false,"serving":false,"terminating":true}`
	})
	s.kubectl("delete", "pod", "p", "--grace-period=1")
}
