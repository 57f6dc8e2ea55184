package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// daemons applies the DaemonSet agent, whose spec has more members in flow style.
func (s *space) daemons(template, more string) {
	s.Helper()
	s.apply("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent, labels: {app: agent}}\nspec: {selector: {matchLabels: {app: agent}}, template: " + template + ", " + more + "}\n")
}

// daemonsRun waits until a ready pod of the newest template runs on every node for which the DaemonSet wants one, and gives the pods by node.
func (s *space) daemonsRun() map[string]v1.Pod {
	s.Helper()
	s.kubectl("rollout", "status", "daemonset/agent", "--timeout=120s")
	return s.podsByNode()
}

func (s *space) podsByNode() map[string]v1.Pod {
	s.Helper()
	list := must[*v1.PodList](s)(s.Client.CoreV1().Pods(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: "app=agent"}))
	pods := map[string]v1.Pod{}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			pods[p.Spec.NodeName] = p
		}
	}
	return pods
}

// workNodes are the nodes without taints, on which any pod may run.
func (s *space) workNodes() []string {
	s.Helper()
	nodes := must[*v1.NodeList](s)(s.Client.CoreV1().Nodes().List(s.Context(), metav1.ListOptions{}))
	var names []string
	for _, n := range nodes.Items {
		if !n.Spec.Unschedulable && len(n.Spec.Taints) == 0 {
			names = append(names, n.Name)
		}
	}
	return names
}

// labelsNode gives a node a label of the test's own, which goes with the test. An empty value takes it away.
func (s *space) labelsNode(node, value string) {
	s.Helper()
	key := s.nodeLabel()
	patch := func(value any) []byte {
		data, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{key: value}}})
		if err != nil {
			s.Fatal(err)
		}
		return data
	}
	s.Cleanup(func() {
		if _, err := s.Client.CoreV1().Nodes().Patch(s.cleanupContext(), node, types.MergePatchType, patch(nil), metav1.PatchOptions{}); err != nil {
			s.Error(err)
		}
	})
	must[*v1.Node](s)(s.Client.CoreV1().Nodes().Patch(s.Context(), node, types.MergePatchType, patch(value), metav1.PatchOptions{}))
}

// nodeLabel is the key of labelsNode.
func (s *space) nodeLabel() string { return "tests.pilotis.dev/" + s.Namespace }

func TestDaemonSetCollections(t *testing.T) {
	s := behaviour(t, "[sig-apps] Daemon set should list and delete a collection of DaemonSets [Serial]")
	s.daemons(template("agent", "sleep 1000"), "")
	s.daemonsRun()
	s.deletesCollection(appsV1.WithResource("daemonsets"), "app=agent", 1)
	s.hasNone("pods", "app=agent")
}

func TestFailedDaemonComesAgain(t *testing.T) {
	s := behaviour(t, "[sig-apps] Daemon set should retry creating failed daemon pods [Serial]")
	s.daemons(template("agent", "sleep 1000"), "")
	nodes := s.workNodes()
	before := s.daemonsRun()
	victim := before[nodes[0]]
	s.kubectl("patch", "pod", victim.Name, "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Failed","reason":"E2E"}}`)
	s.eventually("another pod in the failed one's place", func() (any, bool) {
		now := s.podsByNode()
		pod := now[nodes[0]]
		return fmt.Sprint(pod.Name, pod.Status), pod.UID != victim.UID && isReady(&pod)
	})
	after := s.podsByNode()
	for _, node := range nodes[1:] {
		if before[node].UID != after[node].UID {
			t.Errorf("the pod on %s, which had not failed, was replaced", node)
		}
	}
}

func TestDaemonSetRollsBackGently(t *testing.T) {
	s := behaviour(t, "[sig-apps] Daemon set should rollback without unnecessary restarts [Serial]")
	s.daemons(template("agent", "sleep 1000"), "updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}")
	before := s.daemonsRun()
	if len(before) < 2 {
		t.Fatalf("agents on %d nodes: a rollback has nothing to leave alone", len(before))
	}
	s.daemons(neverReady("agent"), "")
	changed := func(now map[string]v1.Pod) (nodes []string) {
		for node, pod := range now {
			if pod.UID != before[node].UID {
				nodes = append(nodes, node)
			}
		}
		return nodes
	}
	var replaced []string
	s.eventually("one pod to be replaced by one that does not become ready", func() (any, bool) {
		now := s.podsByNode()
		replaced = changed(now)
		return replaced, len(replaced) == 1 && now[replaced[0]].Status.Phase == v1.PodRunning
	})
	s.kubectl("rollout", "undo", "daemonset/agent")
	after := s.daemonsRun()
	if got := changed(after); !slices.Equal(got, replaced) || len(after) != len(before) {
		t.Errorf("the rollback replaced pods on %v, want only that on %v", got, replaced)
	}
	for node, pod := range after {
		if command := pod.Spec.Containers[0].Command; !slices.Contains(command, "sleep 1000") {
			t.Errorf("the pod on %s runs %v after the rollback", node, command)
		}
	}
}

func TestDaemonsChooseNodes(t *testing.T) {
	s := behaviour(t, "[sig-apps] Daemon set should run and stop complex daemon [Serial]")
	node := s.workNodes()[0]
	choose := func(colour string) {
		t.Helper()
		template := strings.Replace(template("agent", "sleep 1000"), "{terminationGracePeriodSeconds", fmt.Sprintf("{nodeSelector: {%s: %s}, terminationGracePeriodSeconds", s.nodeLabel(), colour), 1)
		s.daemons(template, "updateStrategy: {type: RollingUpdate}")
	}
	only := func() {
		t.Helper()
		s.shows("1 1", "daemonset/agent", ".status['desiredNumberScheduled','numberReady']")
		if pods := s.podsByNode(); len(pods) != 1 || pods[node].Name == "" {
			t.Errorf("pods on %d nodes, want only %s", len(pods), node)
		}
	}
	choose("blue")
	s.observed("daemonset/agent")
	if pods := s.podsByNode(); len(pods) > 0 {
		t.Errorf("%d pods run on nodes that are not blue", len(pods))
	}
	s.labelsNode(node, "blue")
	only()
	s.labelsNode(node, "green")
	s.hasNone("pods", "app=agent")
	choose("green")
	only()
}

func TestDaemonSetRollsOut(t *testing.T) {
	s := behaviour(t, "[sig-apps] Daemon set should update pod when spec was updated and update strategy is RollingUpdate [Serial]")
	s.daemons(template("agent", "sleep 1000"), "updateStrategy: {type: RollingUpdate}")
	before := s.daemonsRun()
	s.daemons(template("agent", "sleep 2000"), "updateStrategy: {type: RollingUpdate}")
	after := s.daemonsRun()
	hashes := map[string]bool{}
	for node, pod := range after {
		if pod.UID == before[node].UID || !slices.Contains(pod.Spec.Containers[0].Command, "sleep 2000") {
			t.Errorf("the pod on %s still runs %v", node, pod.Spec.Containers[0].Command)
		}
		hashes[pod.Labels[appsv1.ControllerRevisionHashLabelKey]] = true
	}
	if len(after) != len(before) || len(hashes) != 1 {
		t.Errorf("%d pods of %d nodes have the revisions %v", len(after), len(before), hashes)
	}
	if revisions := s.names("controllerrevisions", "app=agent"); len(revisions) != 2 {
		t.Errorf("the revisions are %v, want two", revisions)
	}
}

// TestDaemonSurge: with maxSurge a node's new daemon is ready before the old one goes (KEP-1591).
func TestDaemonSurge(t *testing.T) {
	s := documented(t, "[sig-apps] DaemonSet should bring up new pods before old ones go with maxSurge")
	const surge = "updateStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"
	s.daemons(template("agent", "sleep 1000"), surge)
	nodes := s.daemonsRun()
	s.daemons(template("agent", "sleep 2000"), surge)
	s.eventually("only new daemons", func() (any, bool) {
		ready, old := map[string]bool{}, 0
		for _, p := range must[*v1.PodList](s)(s.Client.CoreV1().Pods(s.Namespace).List(s.Context(), metav1.ListOptions{LabelSelector: "app=agent"})).Items {
			if slices.Contains(p.Spec.Containers[0].Command, "sleep 1000") {
				old++
			}
			if isReady(&p) {
				ready[p.Spec.NodeName] = true
			}
		}
		if len(ready) < len(nodes) {
			t.Fatalf("only %v of %d nodes have a daemon that is ready", ready, len(nodes))
		}
		return old, old == 0
	})
	s.daemonsRun()
}

func TestDaemonSetStatus(t *testing.T) {
	s := behaviour(t, "[sig-apps] Daemon set should verify changes to a daemon set status [Serial]")
	s.daemons(template("agent", "sleep 1000"), "")
	s.daemonsRun()
	s.keepsStatus(appsV1.WithResource("daemonsets"), "agent")
}

func TestControllerRevisionLifecycle(t *testing.T) {
	s := behaviour(t, "[sig-apps] ControllerRevision should manage the lifecycle of a ControllerRevision [Serial]")
	revisions := s.Client.AppsV1().ControllerRevisions(s.Namespace)
	s.daemons(template("agent", "sleep 1000"), "")
	s.daemonsRun()
	only := func(count int) *appsv1.ControllerRevision {
		t.Helper()
		list := must[*appsv1.ControllerRevisionList](s)(revisions.List(s.Context(), metav1.ListOptions{LabelSelector: "app=agent"}))
		if len(list.Items) != count {
			t.Fatalf("%d revisions, want %d", len(list.Items), count)
		}
		return &list.Items[0]
	}
	first := only(1)
	patched := must[*appsv1.ControllerRevision](s)(revisions.Patch(s.Context(), first.Name, types.MergePatchType, []byte(`{"metadata":{"labels":{"patched":"yes"}}}`), metav1.PatchOptions{}))
	if patched.Labels["patched"] != "yes" || first.Revision != 1 {
		t.Errorf("revision %d has the labels %v", first.Revision, patched.Labels)
	}
	another := &appsv1.ControllerRevision{Data: first.Data, Revision: first.Revision + 1, ObjectMeta: metav1.ObjectMeta{
		Name: "agent-another", Labels: first.Labels, OwnerReferences: first.OwnerReferences,
	}}
	another = must[*appsv1.ControllerRevision](s)(revisions.Create(s.Context(), another, metav1.CreateOptions{}))
	only(2)
	if err := revisions.Delete(s.Context(), first.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	only(1)
	another.Labels["updated"] = "yes"
	if updated := must[*appsv1.ControllerRevision](s)(revisions.Update(s.Context(), another, metav1.UpdateOptions{})); updated.Labels["updated"] != "yes" {
		t.Errorf("the updated labels are %v", updated.Labels)
	}
	s.daemons(template("agent", "sleep 2000"), "")
	s.daemonsRun()
	only(2)
	if err := revisions.DeleteCollection(s.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "updated=yes"}); err != nil {
		t.Fatal(err)
	}
	if last := only(1); last.Revision != 3 {
		t.Errorf("the last revision is %d, want 3", last.Revision)
	}
}
