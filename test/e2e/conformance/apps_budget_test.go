package conformance

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tryEvict asks for the eviction of a pod.
func (s *space) tryEvict(pod string) error {
	return s.Client.PolicyV1().Evictions(s.Namespace).Evict(s.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: pod}})
}

// budget applies a PodDisruptionBudget for pods with app=web.
func (s *space) budget(name, spec string) {
	s.Helper()
	s.apply("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: " + name + ", labels: {budget: test}}\nspec: {selector: {matchLabels: {app: web}}, " + spec + "}\n")
}

// web applies a ReplicaSet of pods with app=web and waits until they are ready.
func (s *space) web(replicas string) {
	s.Helper()
	s.apply("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web, labels: {app: web}}\nspec: {replicas: " + replicas + ", selector: {matchLabels: {app: web}}, template: " + template("web", "sleep 1000") + "}\n")
	s.shows(replicas, "replicaset/web", ".status.readyReplicas")
}

func TestBudgetCollections(t *testing.T) {
	s := behaviour(t, "[sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets")
	s.budget("a", "minAvailable: 1")
	s.budget("b", "minAvailable: 25%")
	s.deletesCollection(policyV1.WithResource("poddisruptionbudgets"), "budget=test", 2)
}

func TestEvictionWaitsForItsBudget(t *testing.T) {
	s := behaviour(t, "[sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it")
	s.web("3")
	s.budget("b", "minAvailable: 3")
	s.shows("3 3 0", "pdb/b", ".status['currentHealthy','desiredHealthy','disruptionsAllowed']")
	pod := s.names("pods", "app=web")[0]
	if err := s.tryEvict(pod); !apierrors.IsTooManyRequests(err) {
		t.Errorf("an eviction beyond the budget: %v", err)
	}
	s.kubectl("patch", "pdb", "b", "--type=merge", "-p", `{"spec":{"minAvailable":2}}`)
	s.shows("1", "pdb/b", ".status.disruptionsAllowed")
	s.evict(pod)
}

func TestBudgetOperations(t *testing.T) {
	s := behaviour(t, "[sig-apps] DisruptionController should create a PodDisruptionBudget")
	s.supportsOperations(operations{resource: "poddisruptionbudgets", subresources: []string{"status"}, manifest: `
apiVersion: policy/v1
kind: PodDisruptionBudget
spec: {minAvailable: 1, selector: {matchLabels: {app: none}}}
`})
}

func TestBudgetStatusFollowsItsPods(t *testing.T) {
	s := behaviour(t, "[sig-apps] DisruptionController should observe PodDisruptionBudget status updated")
	s.budget("b", "minAvailable: 1")
	s.web("3")
	s.shows("3 1 2 3", "pdb/b", ".status['currentHealthy','desiredHealthy','disruptionsAllowed','expectedPods']")
}

// TestEvictionOfTheUnhealthy: of the pods one is ready, and two run and are not.
func TestEvictionOfTheUnhealthy(t *testing.T) {
	s := documented(t, "[sig-apps] PodDisruptionBudget should let unhealthy pods go while enough others are healthy",
		"[sig-apps] PodDisruptionBudget should let unhealthy pods always go with AlwaysAllow")
	ours := func(p *v1.Pod) { p.Labels = map[string]string{"app": "web"} }
	s.start(s.pod("well", "sleep 1000", ours))
	for _, name := range []string{"ill", "worse"} {
		pod := s.pod(name, "sleep 1000", ours, func(p *v1.Pod) {
			p.Spec.Containers[0].ReadinessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"false"}}}}
		})
		if err := s.createPod(pod); err != nil {
			t.Fatal(err)
		}
		s.await(pod, "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	}
	s.budget("b", "minAvailable: 2")
	s.shows("1 2 0", "pdb/b", ".status['currentHealthy','desiredHealthy','disruptionsAllowed']")
	if err := s.tryEvict("ill"); !apierrors.IsTooManyRequests(err) {
		t.Errorf("an ill pod goes while too few are healthy: %v", err)
	}
	s.budget("b", "minAvailable: 1")
	s.shows("1 1 0", "pdb/b", ".status['currentHealthy','desiredHealthy','disruptionsAllowed']")
	if err := s.tryEvict("well"); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the only healthy pod goes: %v", err)
	}
	s.evict("ill")
	s.budget("b", "minAvailable: 2, unhealthyPodEvictionPolicy: AlwaysAllow")
	s.shows("1 2 0", "pdb/b", ".status['currentHealthy','desiredHealthy','disruptionsAllowed']")
	if err := s.tryEvict("well"); !apierrors.IsTooManyRequests(err) {
		t.Errorf("AlwaysAllow lets a healthy pod go: %v", err)
	}
	s.evict("worse")
}

func TestBudgetStatusIsWritable(t *testing.T) {
	s := behaviour(t, "[sig-apps] DisruptionController should update/patch PodDisruptionBudget status")
	s.web("1")
	s.budget("b", "minAvailable: 1")
	s.shows("1", "pdb/b", ".status.currentHealthy")
	s.keepsStatus(policyV1.WithResource("poddisruptionbudgets"), "b")
}
