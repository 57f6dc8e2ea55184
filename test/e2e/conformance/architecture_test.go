package conformance

import (
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodesForPods(t *testing.T) {
	s := behaviour(t, "[sig-architecture] Conformance Tests should have at least two untainted nodes")
	nodes := must[*v1.NodeList](s)(s.Client.CoreV1().Nodes().List(s.Context(), metav1.ListOptions{}))
	untainted := slices.DeleteFunc(nodes.Items, func(n v1.Node) bool { return n.Spec.Unschedulable || len(n.Spec.Taints) > 0 })
	if len(untainted) < 2 {
		t.Errorf("%d nodes are without taints, pods need 2", len(untainted))
	}
}
