package conformance

import (
	"strings"
	"testing"
)

func TestReplicaSetIsReplacedAndPatched(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicaSet Replace and Patch tests")
	s.web("1")
	s.kubectl("scale", "replicaset/web", "--replicas=2")
	s.shows("2", "replicaset/web", ".status.readyReplicas")
	s.kubectl("patch", "replicaset", "web", "-p", `{"metadata":{"labels":{"patched":"yes"}},"spec":{"replicas":3,"template":{"spec":{"terminationGracePeriodSeconds":0}}}}`)
	s.shows("3", "replicaset/web", ".status.readyReplicas")
	if got := s.kubectl("get", "replicaset", "web", "-o", "jsonpath={.metadata.labels.patched} {.spec.template.spec.terminationGracePeriodSeconds}"); got != "yes 0" {
		t.Errorf("label and grace period: %s", got)
	}
}

func TestReplicaSetScale(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicaSet Replicaset should have a working scale subresource")
	s.web("1")
	s.scales(appsV1.WithResource("replicasets"), "web")
}

func TestReplicaSetAdoptsAndReleases(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods")
	orphan := s.pod("orphan", "sleep 1000")
	orphan.Labels = map[string]string{"app": "web"}
	s.start(orphan)
	s.web("1")
	if owner := s.read("pod/orphan", ".metadata.ownerReferences[0].kind"); owner != "ReplicaSet" {
		t.Errorf("the orphan belongs to %q", owner)
	}
	s.kubectl("label", "pod", "orphan", "--overwrite", "app=other")
	s.shows("", "pod/orphan", ".metadata.ownerReferences")
	s.eventually("another pod in its place", func() (any, bool) {
		pods := s.names("pods", "app=web")
		return pods, len(pods) == 1 && pods[0] != "orphan"
	})
}

func TestReplicaSetCollections(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets")
	s.web("2")
	s.deletesCollection(appsV1.WithResource("replicasets"), "app=web", 1)
}

func TestReplicaSetStatus(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicaSet should validate Replicaset Status endpoints")
	s.web("1")
	s.keepsStatus(appsV1.WithResource("replicasets"), "web")
}

// answers asks every pod for its name over HTTP from another pod.
func (s *space) answers(count int) {
	s.Helper()
	client := s.start(s.pod("client", "sleep 1000"))
	for _, line := range strings.Fields(s.kubectl("get", "pods", "-l", "app=web", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.podIP} {end}`)) {
		name, ip, _ := strings.Cut(line, "=")
		if got := s.inPod(client, "wget -qO- http://"+ip+":8080/"); got != name {
			s.Errorf("pod %s answers %q", name, got)
		}
		count--
	}
	if count != 0 {
		s.Errorf("%d pods are missing", count)
	}
}

const namesItself = `mkdir -p /tmp/www; hostname > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www`

func TestReplicaSetServes(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicaSet should serve a basic image on each replica with a public image")
	s.apply("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec: {replicas: 2, selector: {matchLabels: {app: web}}, template: " + template("web", namesItself) + "}\n")
	s.shows("2", "replicaset/web", ".status.readyReplicas")
	s.answers(2)
}

func TestReplicationControllerServes(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicationController should serve a basic image on each replica with a public image")
	s.apply("apiVersion: v1\nkind: ReplicationController\nmetadata: {name: web}\nspec: {replicas: 2, selector: {app: web}, template: " + template("web", namesItself) + "}\n")
	s.shows("2", "rc/web", ".status.readyReplicas")
	s.answers(2)
}

func TestReplicationControllerScale(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicationController should get and update a ReplicationController scale")
	s.apply("apiVersion: v1\nkind: ReplicationController\nmetadata: {name: web}\nspec: {replicas: 1, selector: {app: web}, template: " + template("web", "sleep 1000") + "}\n")
	s.shows("1", "rc/web", ".status.readyReplicas")
	s.scales(coreV1("replicationcontrollers"), "web")
}

func TestReplicationControllerLifecycle(t *testing.T) {
	s := behaviour(t, "[sig-apps] ReplicationController should test the lifecycle of a ReplicationController")
	s.apply("apiVersion: v1\nkind: ReplicationController\nmetadata: {name: web, labels: {life: cycle}}\nspec: {replicas: 1, selector: {app: web}, template: " + template("web", "sleep 1000") + "}\n")
	s.shows("1", "rc/web", ".status.readyReplicas")
	s.kubectl("patch", "rc", "web", "-p", `{"metadata":{"labels":{"patched":"yes"}}}`)
	s.shows("yes", "rc/web", ".metadata.labels.patched")
	s.kubectl("patch", "rc", "web", "--subresource=status", "--type=merge", "-p", `{"status":{"readyReplicas":0,"availableReplicas":0}}`)
	s.shows("1", "rc/web", ".status.readyReplicas") // the controller puts right what it counts
	s.kubectl("scale", "rc/web", "--replicas=2")
	s.shows("2", "rc/web", ".status.readyReplicas")
	s.kubectl("delete", "rc", "-l", "life=cycle")
	s.hasNone("rc", "life=cycle")
	s.hasNone("pods", "app=web")
}
