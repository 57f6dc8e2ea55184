package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// deployment applies the Deployment web, whose spec has more members in flow style.
func (s *space) deployment(replicas int, template, more string) {
	s.Helper()
	s.apply(fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {app: web}}\nspec: {replicas: %d, selector: {matchLabels: {app: web}}, template: %s, %s}\n", replicas, template, more))
}

// neverReady is a pod template like template's, whose pods run and do not become ready.
func neverReady(app string) string {
	return strings.TrimSuffix(template(app, "sleep 2000"), "}]}}") + `, readinessProbe: {exec: {command: ["false"]}}}]}}`
}

// replicaSets are those of the Deployment web, by the first container's last argument.
func (s *space) replicaSets() map[string]appsv1.ReplicaSet {
	s.Helper()
	list := must[*appsv1.ReplicaSetList](s)(s.Client.AppsV1().ReplicaSets(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: "app=web"}))
	sets := map[string]appsv1.ReplicaSet{}
	for _, rs := range list.Items {
		command := rs.Spec.Template.Spec.Containers[0].Command
		sets[command[len(command)-1]] = rs
	}
	return sets
}

// spread waits until the replica sets ask for so many pods, by command.
func (s *space) spread(want map[string]int32) {
	s.Helper()
	s.eventually(fmt.Sprintf("the replica sets to be %v", want), func() (any, bool) {
		got := map[string]int32{}
		for command, rs := range s.replicaSets() {
			got[command] = *rs.Spec.Replicas
		}
		return got, fmt.Sprint(got) == fmt.Sprint(want) // fmt sorts maps
	})
}

// rolledOut waits until all pods of the Deployment are of its template, ready and alone.
func (s *space) rolledOut(replicas int) {
	s.Helper()
	s.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
	s.eventually(fmt.Sprintf("%d pods", replicas), func() (any, bool) {
		pods := s.names("pods", "app=web")
		return pods, len(pods) == replicas
	})
}

func TestDeploymentScale(t *testing.T) {
	s := behaviour(t, "[sig-apps] Deployment Deployment should have a working scale subresource")
	s.deployment(1, template("web", "sleep 1000"), "")
	s.rolledOut(1)
	s.scales(appsV1.WithResource("deployments"), "web")
}

func TestRollingUpdateTakesOver(t *testing.T) {
	s := behaviour(t, "[sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones")
	s.web("2")
	old := s.names("pods", "app=web")
	s.kubectl("annotate", "replicaset", "web", "deployment.kubernetes.io/revision=7")
	s.deployment(2, template("web", "sleep 2000"), "strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}")
	s.rolledOut(2)
	for _, pod := range s.names("pods", "app=web") {
		if slices.Contains(old, pod) {
			t.Errorf("the old pod %s is still there", pod)
		}
	}
	sets, uid := s.replicaSets(), s.read("deployment/web", ".metadata.uid")
	before, after := sets["sleep 1000"], sets["sleep 2000"]
	if len(sets) != 2 || *before.Spec.Replicas != 0 || *after.Spec.Replicas != 2 {
		t.Errorf("the replica sets are %v", sets)
	}
	for _, rs := range []appsv1.ReplicaSet{before, after} {
		if owner := metav1.GetControllerOf(&rs); owner == nil || string(owner.UID) != uid {
			t.Errorf("ReplicaSet %s belongs to %v", rs.Name, owner)
		}
	}
	if revision := after.Annotations["deployment.kubernetes.io/revision"]; revision != "8" {
		t.Errorf("the new ReplicaSet has revision %s, want the one after 7", revision)
	}
}

func TestOldReplicaSetsGo(t *testing.T) {
	s := behaviour(t, "[sig-apps] Deployment deployment should delete old replica sets")
	s.web("1")
	s.deployment(1, template("web", "sleep 2000"), "revisionHistoryLimit: 1")
	s.rolledOut(1)
	s.spread(map[string]int32{"sleep 1000": 0, "sleep 2000": 1})
	s.deployment(1, template("web", "sleep 3000"), "revisionHistoryLimit: 1")
	s.rolledOut(1)
	s.spread(map[string]int32{"sleep 2000": 0, "sleep 3000": 1})
	s.kubectl("patch", "deployment", "web", "-p", `{"spec":{"revisionHistoryLimit":0}}`)
	s.spread(map[string]int32{"sleep 3000": 1})
}

func TestProportionalScaling(t *testing.T) {
	s := behaviour(t, "[sig-apps] Deployment deployment should support proportional scaling")
	slowly := "strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 2, maxUnavailable: 1}}"
	s.deployment(5, template("web", "sleep 1000"), slowly)
	s.rolledOut(5)
	s.deployment(5, neverReady("web"), slowly)
	s.spread(map[string]int32{"sleep 1000": 4, "sleep 2000": 3}) // one may be missing, two may be too many
	s.shows("4", "deployment/web", ".status.availableReplicas")
	s.kubectl("scale", "deployment/web", "--replicas=10")
	s.spread(map[string]int32{"sleep 1000": 7, "sleep 2000": 5}) // 12 at most, in the proportion of 4 to 3
	s.kubectl("scale", "deployment/web", "--replicas=3")
	s.eventually("5 pods at most, 2 of them available", func() (any, bool) {
		d := must[*appsv1.Deployment](s)(s.Client.AppsV1().Deployments(s.Namespace).Get(s.Context(), "web", metav1.GetOptions{}))
		return d.Status, d.Status.Replicas <= 5 && d.Status.AvailableReplicas >= 2
	})
}

func TestRollover(t *testing.T) {
	s := behaviour(t, "[sig-apps] Deployment deployment should support rollover")
	careful := "minReadySeconds: 1, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"
	s.deployment(2, template("web", "sleep 1000"), careful)
	s.rolledOut(2)
	s.deployment(2, neverReady("web"), careful)
	s.spread(map[string]int32{"sleep 1000": 2, "sleep 2000": 1})
	s.deployment(2, template("web", "sleep 3000"), careful)
	s.rolledOut(2)
	s.spread(map[string]int32{"sleep 1000": 0, "sleep 2000": 0, "sleep 3000": 2})
	s.shows("2 2 2", "deployment/web", ".status['replicas','updatedReplicas','availableReplicas']")
}

func TestDeploymentLifecycle(t *testing.T) {
	s := behaviour(t, "[sig-apps] Deployment should run the lifecycle of a Deployment")
	deployments := s.Client.AppsV1().Deployments(s.Namespace)
	events := must[watch.Interface](s)(deployments.Watch(s.Context(), metav1.ListOptions{LabelSelector: "app=web"}))
	defer events.Stop()
	s.deployment(1, template("web", "sleep 1000"), "")
	s.sees(events, watch.Added, "web")
	s.rolledOut(1)
	s.kubectl("patch", "deployment", "web", "-p", `{"metadata":{"labels":{"life":"cycle"}},"spec":{"replicas":2,"template":{"spec":{"terminationGracePeriodSeconds":0}}}}`)
	s.sees(events, watch.Modified, "web")
	s.rolledOut(2)
	s.kubectl("scale", "deployment/web", "--replicas=1")
	s.rolledOut(1)
	all := strings.Fields(s.kubectl("get", "deployments", "-A", "-l", "life=cycle", "-o", "jsonpath={.items[*].metadata.namespace}"))
	if !slices.Contains(all, s.Namespace) {
		t.Errorf("the Deployment is not among those of all namespaces: %v", all)
	}
	s.keepsStatus(appsV1.WithResource("deployments"), "web")
	s.shows("1", "deployment/web", ".status.readyReplicas") // the controller puts right what it counts
	s.deletesCollection(appsV1.WithResource("deployments"), "life=cycle", 1)
	s.sees(events, watch.Deleted, "web")
	s.hasNone("pods", "app=web")
}
