// Package replicas keeps a number of equal pods alive: the core of the ReplicaSet and the ReplicationController.
package replicas

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// Burst bounds the pods that one reconciliation creates or deletes, so that the status is written in between.
const Burst = 500

// Plan is what has to be done to have the wanted number of pods.
type Plan struct {
	Create int
	Delete []*v1.Pod
}

// String prints the plan.
func (p Plan) String() string {
	var b strings.Builder
	if p.Create > 0 {
		fmt.Fprintf(&b, "create %d\n", p.Create)
	}
	for _, pod := range p.Delete {
		fmt.Fprintf(&b, "delete %s\n", pod.Name)
	}
	return b.String()
}

// Decide compares the active pods with the number wanted. neighbours counts, by node, the active pods of all sets that belong
// together (the ReplicaSets of one Deployment): a crowded node loses pods first.
func Decide(wanted int, active []*v1.Pod, neighbours map[string]int, now time.Time) Plan {
	switch surplus := len(active) - wanted; {
	case surplus < 0:
		return Plan{Create: min(-surplus, Burst)}
	case surplus > 0:
		victims := append([]*v1.Pod(nil), active...)
		if wanted > 0 {
			pods.SortForDeletion(victims, neighbours, now)
		}
		return Plan{Delete: victims[:min(surplus, Burst)]}
	}
	return Plan{}
}

// Observation is what Status is computed from.
type Observation struct {
	Generation      int64
	Wanted          int
	MinReadySeconds int32
	TemplateLabels  map[string]string
	Active          []*v1.Pod
	Terminating     int
	// Failure of carrying out the plan, nil when it succeeded or there was nothing to do.
	Failure error
	Now     time.Time
}

// Status returns the new status of a set, and how long it takes until a ready pod becomes available (zero: nothing to wait for).
func Status(old appsv1.ReplicaSetStatus, o Observation) (appsv1.ReplicaSetStatus, time.Duration) {
	status := appsv1.ReplicaSetStatus{ObservedGeneration: o.Generation, Replicas: int32(len(o.Active)), TerminatingReplicas: ptr.To(int32(o.Terminating))}
	var wake time.Duration
	template := labels.Set(o.TemplateLabels).AsSelectorPreValidated()
	for _, pod := range o.Active {
		if template.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		if !pods.Ready(pod) {
			continue
		}
		status.ReadyReplicas++
		available, after := pods.Available(pod, o.MinReadySeconds, o.Now)
		if available {
			status.AvailableReplicas++
		} else if after > 0 && (wake == 0 || after < wake) {
			wake = after
		}
	}
	status.Conditions = failureCondition(old.Conditions, o)
	return status, wake
}

// failureCondition sets or removes the condition ReplicaFailure, and keeps others.
func failureCondition(old []appsv1.ReplicaSetCondition, o Observation) []appsv1.ReplicaSetCondition {
	var kept []appsv1.ReplicaSetCondition
	var failing *appsv1.ReplicaSetCondition
	for _, c := range old {
		if c.Type == appsv1.ReplicaSetReplicaFailure {
			failing = &c
			continue
		}
		kept = append(kept, c)
	}
	if o.Failure == nil {
		return kept
	}
	reason := "FailedCreate"
	if len(o.Active) > o.Wanted {
		reason = "FailedDelete"
	}
	if failing == nil || failing.Reason != reason {
		failing = &appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetReplicaFailure, Status: v1.ConditionTrue, Reason: reason,
			Message: o.Failure.Error(), LastTransitionTime: metav1.NewTime(o.Now),
		}
	}
	return append(kept, *failing)
}
