package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What goes wrong is told where users look: in a condition of the object and in an event.

// tells waits for an event of this reason about the object, whose message has a text in it.
func (s *space) tells(object, reason, text string) {
	s.Helper()
	kind, name, _ := strings.Cut(object, "/")
	s.eventually("an event "+reason+" of "+object, func() (any, bool) {
		about := metav1.ListOptions{FieldSelector: fmt.Sprintf("involvedObject.kind=%s,involvedObject.name=%s,reason=%s", kind, name, reason)}
		out := s.readAll("events", about, ".items[*].message")
		return out, out != "" && strings.Contains(out, text)
	})
}

func TestQuotaStopsAReplicaSet(t *testing.T) {
	s := documented(t, "[sig-apps] ReplicaSet should say that a quota stops it and go on when there is room")
	s.quota("few", "pods 1")
	s.deployment(3, template("web", "sleep 1000"), "")
	const failure = `.status.conditions[?(@.type=="ReplicaFailure")]`
	s.shows("True FailedCreate", "deployment/web", failure+`.status} {`+failure+`.reason`)
	set := s.names("replicasets", "app=web")[0]
	s.tells("ReplicaSet/"+set, "FailedCreate", "exceeded quota: few")
	s.shows("1", "deployment/web", ".status.readyReplicas")
	s.kubectl("patch", "quota", "few", "--type=merge", "-p", `{"spec":{"hard":{"pods":"3"}}}`)
	s.shows("3", "deployment/web", ".status.readyReplicas")
	s.shows("", "deployment/web", failure)
}

func TestDeploymentMakesNoProgress(t *testing.T) {
	s := documented(t, "[sig-apps] Deployment should stop at its progress deadline and say so")
	s.deployment(1, neverReady("web"), "progressDeadlineSeconds: 2")
	const progressing = `.status.conditions[?(@.type=="Progressing")]`
	s.shows("False ProgressDeadlineExceeded", "deployment/web", progressing+`.status} {`+progressing+`.reason`)
	if out, err := s.tryKubectl("", "rollout", "status", "deployment/web", "--timeout=30s"); err == nil || !strings.Contains(err.Error(), "exceeded its progress deadline") {
		t.Errorf("kubectl rollout status says %s, %v", out, err)
	}
	s.deployment(1, template("web", "sleep 1000"), "progressDeadlineSeconds: 2")
	s.shows("True NewReplicaSetAvailable", "deployment/web", progressing+`.status} {`+progressing+`.reason`)
}

func TestPausedDeployment(t *testing.T) {
	s := documented(t, "[sig-apps] Deployment should be sized and not rolled out while it is paused")
	s.deployment(1, template("web", "sleep 1000"), "")
	s.rolledOut(1)
	s.kubectl("rollout", "pause", "deployment/web")
	s.deployment(2, template("web", "sleep 2000"), "paused: true")
	s.spread(map[string]int32{"sleep 1000": 2}) // it is sized, and not rolled out
	s.shows("DeploymentPaused", "deployment/web", `.status.conditions[?(@.type=="Progressing")].reason`)
	s.kubectl("rollout", "resume", "deployment/web")
	s.rolledOut(2)
	s.spread(map[string]int32{"sleep 1000": 0, "sleep 2000": 2})
}

// TestRecreateDeployment: none of the old pods runs any more when the first new one is made.
func TestRecreateDeployment(t *testing.T) {
	s := documented(t, "[sig-apps] Deployment should run no old pod beside new ones with the strategy Recreate")
	s.deployment(2, template("web", "sleep 1000"), "strategy: {type: Recreate}")
	s.rolledOut(2)
	s.deployment(2, template("web", "sleep 2000"), "strategy: {type: Recreate}")
	s.eventually("only new pods", func() (any, bool) {
		var old, young int
		for _, p := range must[*v1.PodList](s)(s.Client.CoreV1().Pods(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: "app=web"})).Items {
			switch ended := p.Status.Phase == v1.PodFailed || p.Status.Phase == v1.PodSucceeded; {
			case slices.Contains(p.Spec.Containers[0].Command, "sleep 2000"):
				young++
			case !ended:
				old++
			}
		}
		if old > 0 && young > 0 {
			t.Fatalf("%d old pods run beside %d new ones", old, young)
		}
		return fmt.Sprint(old, young), young == 2
	})
}

// TestOverlappingSelectors: a pod has one controller, and the other makes pods of its own.
func TestOverlappingSelectors(t *testing.T) {
	s := documented(t, "[sig-apps] ReplicaSet should keep to its own pods when selectors overlap")
	s.web("2")
	s.apply("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: other}\nspec: {replicas: 1, selector: {matchLabels: {app: web}}, template: " + template("web", "sleep 1000") + "}\n")
	s.shows("1", "replicaset/other", ".status.readyReplicas")
	s.steady("each ReplicaSet with its own pods", func() (any, bool) {
		owners := s.kubectl("get", "pods", "-l", "app=web", "--sort-by=.metadata.ownerReferences[0].name", "-o", "jsonpath={.items[*].metadata.ownerReferences[*].name}")
		return owners, owners == "other web web"
	})
}

// TestOwnerOutOfReach: an owner of a namespace cannot own what is elsewhere; the dependent goes, and an event tells why.
func TestOwnerOutOfReach(t *testing.T) {
	s := documented(t, "[sig-api-machinery] Garbage collector should delete what an owner of another namespace cannot own and tell of it")
	elsewhere := s.newNamespace()
	s.kubectl("create", "configmap", "owner", "--namespace="+elsewhere)
	uid := s.kubectl("get", "configmap", "owner", "--namespace="+elsewhere, "-o", "jsonpath={.metadata.uid}")
	s.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: dependent, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: " + uid + "}]}\n")
	s.tells("Secret/dependent", "OwnerRefInvalidNamespace", s.Namespace)
	s.eventually("the dependent to go", func() (any, bool) {
		out, err := s.tryKubectl("", "get", "secret", "dependent", "--ignore-not-found", "-o", "name")
		return out, err == nil && out == ""
	})
	if got := s.kubectl("get", "configmap", "owner", "--namespace="+elsewhere, "-o", "jsonpath={.metadata.uid}"); got != uid {
		t.Errorf("the owner is %s, it was %s", got, uid)
	}
}
