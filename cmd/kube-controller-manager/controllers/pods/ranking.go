package pods

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DeletionCost is the annotation by which a user says how dear a pod is, relative to others of its ReplicaSet (KEP-2255).
const DeletionCost = "controller.kubernetes.io/pod-deletion-cost"

// SortForDeletion orders pods so that those to delete first come first. The order is documented for ReplicaSets: not assigned
// to a node, pending, not ready, low deletion cost, many neighbours of the same set on its node, ready for a shorter time,
// more restarts, younger. Times are compared in logarithmic buckets of age, so that among pods of like age a random one
// (by UID) goes and not always the youngest (KEP-2185). neighbours counts active pods by node.
func SortForDeletion(pods []*v1.Pod, neighbours map[string]int, now time.Time) {
	slices.SortStableFunc(pods, func(a, b *v1.Pod) int {
		return cmp.Or(
			first(a.Spec.NodeName == "", b.Spec.NodeName == ""),
			cmp.Compare(phaseRank(a), phaseRank(b)),
			first(!Ready(a), !Ready(b)),
			cmp.Compare(deletionCost(a), deletionCost(b)),
			cmp.Compare(neighbours[b.Spec.NodeName], neighbours[a.Spec.NodeName]),
			younger(readySince(a), readySince(b), now),
			cmp.Compare(Restarts(b), Restarts(a)),
			younger(a.CreationTimestamp, b.CreationTimestamp, now),
			cmp.Compare(a.UID, b.UID),
		)
	})
}

// first orders true before false.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

func phaseRank(pod *v1.Pod) int {
	switch pod.Status.Phase {
	case v1.PodPending:
		return 0
	case v1.PodUnknown:
		return 1
	default:
		return 2
	}
}

func deletionCost(pod *v1.Pod) int64 {
	n, err := strconv.ParseInt(pod.Annotations[DeletionCost], 10, 32)
	if err != nil {
		return 0
	}
	return n
}

func readySince(pod *v1.Pod) metav1.Time {
	if c := Condition(pod, v1.PodReady); c != nil && c.Status == v1.ConditionTrue {
		return c.LastTransitionTime
	}
	return metav1.Time{}
}

// younger orders the later time first; an unknown time counts as now.
func younger(a, b metav1.Time, now time.Time) int {
	return cmp.Compare(ageBucket(a, now), ageBucket(b, now))
}

func ageBucket(t metav1.Time, now time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	age := now.Sub(t.Time)
	if age <= 0 {
		return 0
	}
	return int64(math.Log2(float64(age)))
}
