package chaos

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/chaos/faults"
)

// TestAStatefulSetUnderPartitions cuts nodes off 200 times, up to three of seven at once, for minutes each, while everything else
// goes wrong as well. A node that is cut off runs on what it runs: that no pod of a name ever runs on two nodes is what Nodes look at.
func TestAStatefulSetUnderPartitions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { run(t, "statefulset-controller", partitions(200), *firstSeed, faults.Random) })
}

func partitions(count int) World {
	w := World{
		With:    []string{"node-lifecycle-controller", "taint-eviction-controller", "pod-garbage-collector-controller"},
		Lasting: time.Duration(count) * 3 * time.Minute,
		Begin: func(c *Case) {
			c.Make(&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1.NamespaceNodeLease}})
			c.Nodes.Heartbeats, c.Nodes.Every = true, 5*time.Second
			c.makeNodes(7)
			set := statefulSet("db", 5)
			set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
			for _, key := range []string{v1.TaintNodeUnreachable, v1.TaintNodeNotReady} {
				set.Spec.Template.Spec.Tolerations = append(set.Spec.Template.Spec.Tolerations, v1.Toleration{Key: key, Operator: v1.TolerationOpExists, Effect: v1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](20)})
			}
			c.Make(set)
		},
		Check: orderly,
		Done: func(c *Case) error {
			set := one[appsv1.StatefulSet](c, ns, "db")
			return inOrder(missing("ready pods", len(podsOf(c, set.UID, func(p *v1.Pod) bool { return active(p) && podReady(p) })), 5), missing("status.readyReplicas", set.Status.ReadyReplicas, 5))
		},
	}
	var lost []string
	for i := range count + 3 {
		w.Steps = append(w.Steps, func(c *Case) {
			if len(lost) > 0 && (len(lost) == 3 || i >= count) {
				delete(c.Nodes.Lost, lost[0])
				lost = lost[1:]
			}
			for i < count {
				if name := fmt.Sprintf("n%d", 1+c.Rand.IntN(7)); !c.Nodes.Lost[name] {
					c.Nodes.Lost[name] = true
					lost = append(lost, name)
					return
				}
			}
		})
	}
	return w
}

// TestReplicaSetsWithFrozenInformers lets the informers see nothing for 10 minutes.
func TestReplicaSetsWithFrozenInformers(t *testing.T) {
	for i, frozen := range [][]string{{"pods"}, {"replicasets"}, {"pods", "replicasets"}} {
		t.Run(fmt.Sprint(frozen), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := replicaSets()
				w.Lasting = 10 * time.Minute
				run(t, "replicaset-controller", w, *firstSeed+uint64(i), faults.Frozen, func(p *faults.Plan) { p.Frozen = frozen })
			})
		})
	}
}
