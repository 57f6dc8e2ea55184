package conformance

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// A node of these tests is an object alone: no kubelet serves it, and its first taint keeps all but the test's pods off.
// So eviction can be seen without driving others' pods off a node.
const (
	ownTaint  = "e2e.example.com/own"
	evicts    = "e2e.example.com/evicts"
	fromOwn   = `{"key":"` + ownTaint + `","effect":"NoSchedule"}`
	fromBoth  = `[` + fromOwn + `,{"key":"` + evicts + `","effect":"NoExecute"}]`
	seconds3  = 3
	seconds12 = 12
)

// paperNode creates the node, which goes with the test.
func (s *space) paperNode() string {
	s.Helper()
	return s.createClusterWide(schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, `{apiVersion: v1, kind: Node, metadata: {name: SPACE}, spec: {unschedulable: true, taints: [`+fromOwn+`]}}`).GetName()
}

func (s *space) taints(node, taints string) {
	s.Helper()
	must[*v1.Node](s)(s.Client.CoreV1().Nodes().Patch(s.Context(), node, types.MergePatchType, []byte(`{"spec":{"taints":`+taints+`}}`), metav1.PatchOptions{}))
}

// bound creates a pod on the node that bears the evicting taint for so many seconds.
func (s *space) bound(name, node string, seconds int64) *v1.Pod {
	s.Helper()
	s.Cleanup(func() { // no kubelet ends it
		now := int64(0)
		_ = s.Client.CoreV1().Pods(s.Namespace).Delete(s.cleanupContext(), name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
	return must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), s.pod(name, "sleep 300", func(p *v1.Pod) {
		grace := int64(60)
		p.Spec.NodeName, p.Spec.TerminationGracePeriodSeconds = node, &grace
		p.Spec.Tolerations = []v1.Toleration{
			{Key: ownTaint, Operator: v1.TolerationOpExists},
			{Key: evicts, Operator: v1.TolerationOpExists, Effect: v1.TaintEffectNoExecute, TolerationSeconds: &seconds},
		}
	}), metav1.CreateOptions{}))
}

// leaves waits until the pod is being deleted, and gives when that began.
func (s *space) leaves(pod *v1.Pod) time.Time {
	s.Helper()
	gone := s.await(pod, "evicted", func(p *v1.Pod) bool { return p.DeletionTimestamp != nil })
	return gone.DeletionTimestamp.Add(-time.Duration(*gone.DeletionGracePeriodSeconds) * time.Second)
}

func TestEvictionAfterTheToleratedTime(t *testing.T) {
	s := behaviour(t, "[sig-node] NoExecuteTaintManager Multiple Pods evicts pods with minTolerationSeconds [Disruptive] [Serial]")
	node := s.paperNode()
	soon, later := s.bound("soon", node, seconds3), s.bound("later", node, seconds12)
	begin := time.Now().Truncate(time.Second)
	s.taints(node, fromBoth)
	if took := s.leaves(soon).Sub(begin); took < seconds3*time.Second || took >= seconds12*time.Second {
		t.Errorf("a pod that bears the taint for %d s was evicted after %v", seconds3, took)
	}
	if took := s.leaves(later).Sub(begin); took < seconds12*time.Second {
		t.Errorf("a pod that bears the taint for %d s was evicted after %v", seconds12, took)
	}
}

func TestEvictionThatIsCancelled(t *testing.T) {
	s := behaviour(t, "[sig-node] NoExecuteTaintManager Single Pod removing taint cancels eviction [Disruptive] [Serial]")
	node := s.paperNode()
	pod := s.bound("p", node, seconds12)
	s.taints(node, fromBoth)
	tainted := time.Now()
	witness := s.bound("witness", node, seconds3) // shows that evictions from this node are under way
	s.leaves(witness)
	s.taints(node, "["+fromOwn+"]")
	s.await(pod, "left alone", func(p *v1.Pod) bool {
		if p.DeletionTimestamp != nil {
			t.Fatalf("the pod was evicted at %v", p.DeletionTimestamp)
		}
		return time.Since(tainted) > (seconds12+4)*time.Second
	})
}
