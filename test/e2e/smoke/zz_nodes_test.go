package smoke

import (
	"strings"
	"testing"
)

// spread is a Deployment of which one pod must always be there, and a DaemonSet beside it.
const spread = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}]
      containers:
      - name: c
        image: IMAGE
        command: [sleep, "100000"]
        volumeMounts: [{name: scratch, mountPath: /scratch}]
      volumes: [{name: scratch, emptyDir: {}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
`

// on lists the pods of the app on a node that are not on their way out.
func (s space) on(node, app string) []string {
	out, _ := s.try("get", "pods", "-l", "app="+app, "--field-selector=spec.nodeName="+node, "-o", `go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}`)
	return strings.Fields(out)
}

// TestDrainMovesPods: pods leave within their budget, the DaemonSet stays, nothing new comes until the node is uncordoned.
func TestDrainMovesPods(t *testing.T) {
	s := newSpace(t)
	s.apply(spread)
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.must("rollout", "status", "daemonset/agent", "--timeout=90s")
	if len(s.on("worker-1", "web")) == 0 {
		t.Fatal("the scheduler put no pod on worker-1: the spread constraint was not followed")
	}
	s.eventually("1", "get", "poddisruptionbudget", "web", "-o", "jsonpath={.status.disruptionsAllowed}")
	agents := s.on("worker-1", "agent")
	t.Cleanup(func() { s.must("uncordon", "worker-1") })
	if out := s.must("drain", "worker-1", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=90s"); !strings.Contains(out, "node/worker-1 drained") {
		t.Errorf("drain:\n%s", out)
	}
	if out := s.must("get", "node", "worker-1", "--no-headers"); !strings.Contains(out, "Ready,SchedulingDisabled") {
		t.Errorf("the node shows as %q", out)
	}
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	if left := s.on("worker-1", "web"); len(left) > 0 {
		t.Errorf("%v stayed on the drained node", left)
	}
	if now := s.on("worker-1", "agent"); strings.Join(now, " ") != strings.Join(agents, " ") {
		t.Errorf("the DaemonSet's pods were %v and are %v", agents, now)
	}
	s.must("scale", "deployment/web", "--replicas=5")
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	if came := s.on("worker-1", "web"); len(came) > 0 {
		t.Errorf("%v came to a cordoned node", came)
	}
	s.must("uncordon", "worker-1")
	s.must("scale", "deployment/web", "--replicas=8")
	s.until("a pod on the uncordoned node", func() (string, bool) {
		out := s.on("worker-1", "web")
		return strings.Join(out, " "), len(out) > 0
	})
}

// TestBudgetHoldsADrain: the eviction API refuses what the budget does not allow.
func TestBudgetHoldsADrain(t *testing.T) {
	s := newSpace(t)
	s.apply(strings.Replace(spread, "minAvailable: 2", "minAvailable: 3", 1))
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.eventually("0 3", "get", "poddisruptionbudget", "web", "-o", "jsonpath={.status.disruptionsAllowed} {.status.currentHealthy}")
	t.Cleanup(func() { s.must("uncordon", "worker-1") })
	_, err := s.try("drain", "worker-1", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--pod-selector=app=web", "--timeout=6s")
	if err == nil || !strings.Contains(err.Error(), "Cannot evict pod as it would violate the pod's disruption budget.") {
		t.Errorf("drain against the budget: %v", err)
	}
	s.eventually("3", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
}

// TestTaintsRepel: NoSchedule holds back what does not tolerate it, NoExecute ends what runs, a toleration with a time
// ends when the time has passed.
func TestTaintsRepel(t *testing.T) {
	s := newSpace(t)
	pod := func(name, key, more string) {
		s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  terminationGracePeriodSeconds: 0
  nodeSelector: {kubernetes.io/hostname: worker-1}
  tolerations: [{key: ` + key + `, operator: Exists` + more + `}]
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
`)
	}
	t.Cleanup(func() {
		_, _ = s.try("taint", "node", "worker-1", "smoke-door-") // only there when the test failed half-way
		_, _ = s.try("taint", "node", "worker-1", "smoke-fire-")
	})
	s.must("taint", "node", "worker-1", "smoke-door=shut:NoSchedule")
	pod("outside", "other", "")
	pod("inside", "smoke-door", "")
	s.must("wait", "--for=condition=Ready", "pod/inside", "--timeout=90s")
	s.until("the waiting pod to say why", func() (string, bool) {
		out, err := s.try("get", "pod", "outside", "-o", `jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}: {.status.conditions[?(@.type=="PodScheduled")].message}`)
		return out, err == nil && strings.Contains(out, "Unschedulable: 0/2 nodes are available: ") && strings.Contains(out, "untolerated taint")
	})
	s.must("taint", "node", "worker-1", "smoke-door-")
	s.must("wait", "--for=condition=Ready", "pod/outside", "--timeout=90s")

	pod("proof", "smoke-fire", "")
	pod("slow", "smoke-fire", ", effect: NoExecute, tolerationSeconds: 5")
	s.must("wait", "--for=condition=Ready", "pod/proof", "pod/slow", "--timeout=90s")
	s.must("taint", "node", "worker-1", "smoke-fire=hot:NoExecute")
	s.must("wait", "--for=delete", "pod/outside", "pod/inside", "--timeout=60s")
	s.must("get", "pod", "slow", "proof")
	s.must("wait", "--for=delete", "pod/slow", "--timeout=60s")
	s.must("get", "pod", "proof")
}
