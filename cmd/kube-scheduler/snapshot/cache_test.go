package snapshot

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func zoned(name, zone string) *v1.Node {
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelTopologyZone: zone}}}
}

func requesting(name, node string, milliCPU int64) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "d", UID: types.UID(name)}, Spec: v1.PodSpec{NodeName: node,
		Containers: []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{v1.ResourceCPU: *resource.NewMilliQuantity(milliCPU, resource.DecimalSI)}}}}}}
}

// text is what a decision can see of a snapshot.
func text(s *Snapshot) string {
	var out string
	for _, n := range s.Nodes {
		var pods []string
		for _, p := range n.Pods {
			pods = append(pods, p.Name)
		}
		slices.Sort(pods)
		out += fmt.Sprintln(n.Name, zoneOf(n), n.Requested.MilliCPU, pods, s.Node(n.Name) == n)
	}
	return out
}

// Whatever happens, a snapshot that shares with the one before equals one made from scratch, and the one before stays
// as it was.
func TestSnapshotsShareWhatDidNotChange(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		c := NewCache()
		nodes, pods := map[string]*v1.Node{}, map[string]*v1.Pod{}
		before, beforeText := c.Snapshot(), ""
		for step := range 300 {
			node, pod := fmt.Sprintf("n%d", random.IntN(8)), fmt.Sprintf("p%d", random.IntN(20))
			switch random.IntN(6) {
			case 0, 1:
				nodes[node] = zoned(node, fmt.Sprintf("z%d", random.IntN(3)))
				c.SetNode(nodes[node])
			case 2:
				if random.IntN(4) == 0 {
					delete(nodes, node)
					c.RemoveNode(node)
				}
			case 3, 4:
				pods[pod] = requesting(pod, node, random.Int64N(100))
				c.SetPod(pods[pod])
			case 5:
				delete(pods, pod)
				c.RemovePod(types.UID(pod))
			}
			if random.IntN(3) > 0 {
				continue // several changes between two snapshots
			}
			if now := text(before); now != beforeText {
				t.Fatalf("seed %d, step %d: a snapshot changed from\n%s\nto\n%s", seed, step, beforeText, now)
			}
			var fresh []*Node
			for name, n := range nodes {
				var there []*v1.Pod
				for _, p := range pods {
					if p.Spec.NodeName == name {
						there = append(there, p)
					}
				}
				fresh = append(fresh, NewNode(n, there...))
			}
			before = c.Snapshot()
			beforeText = text(before)
			if want := text(New(fresh...)); beforeText != want {
				t.Fatalf("seed %d, step %d: the snapshot is\n%s\nwant\n%s", seed, step, beforeText, want)
			}
		}
	}
}

func TestAssumedPodCountsUntilItIsForgotten(t *testing.T) {
	c := NewCache()
	c.SetNode(zoned("n", "z"))
	p := NewPod(requesting("p", "", 100))
	c.Assume(p, "n")
	if got := c.Snapshot().Node("n").Requested.MilliCPU; got != 100 {
		t.Errorf("%dm are requested while the pod is assumed, want 100m", got)
	}
	c.Forget(p.UID)
	if got := c.Snapshot().Node("n").Requested.MilliCPU; got != 0 {
		t.Errorf("%dm are requested after it was forgotten, want 0", got)
	}
	c.Assume(p, "n")
	c.SetPod(requesting("p", "n", 100))
	c.Forget(p.UID) // too late: the watch has confirmed it
	if got := c.Snapshot().Node("n").Requested.MilliCPU; got != 100 {
		t.Errorf("%dm are requested after the watch confirmed it, want 100m", got)
	}
}
