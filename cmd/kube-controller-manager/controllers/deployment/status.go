package deployment

import (
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Reasons of the conditions, as kubectl rollout status knows them.
const (
	reasonUpdated      = "ReplicaSetUpdated"
	reasonCreateError  = "ReplicaSetCreateError"
	reasonNewCreated   = "NewReplicaSetCreated"
	reasonFoundNew     = "FoundNewReplicaSet"
	reasonNewAvailable = "NewReplicaSetAvailable"
	reasonTimedOut     = "ProgressDeadlineExceeded"
	reasonPaused       = "DeploymentPaused"
	reasonResumed      = "DeploymentResumed"
)

func condition(s appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

func removeCondition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) {
	s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c appsv1.DeploymentCondition) bool { return c.Type == t })
}

// setCondition keeps a condition whose status and reason stay the same, and its transition time when the status does.
func (r *rollout) setCondition(t appsv1.DeploymentConditionType, status v1.ConditionStatus, reason, message string) {
	setCondition(&r.status, t, status, reason, message, r.Now)
}

func setCondition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType, status v1.ConditionStatus, reason, message string, now time.Time) {
	at := metav1.NewTime(now)
	c := appsv1.DeploymentCondition{Type: t, Status: status, Reason: reason, Message: message, LastUpdateTime: at, LastTransitionTime: at}
	if have := condition(*s, t); have != nil {
		if have.Status == status && have.Reason == reason {
			return
		}
		if have.Status == status {
			c.LastTransitionTime = have.LastTransitionTime
		}
	}
	removeCondition(s, t)
	s.Conditions = append(s.Conditions, c)
}

func (r *rollout) setProgress(status v1.ConditionStatus, reason, message string) {
	r.setCondition(appsv1.DeploymentProgressing, status, reason, message)
}

func (r *rollout) hasDeadline() bool { return hasDeadline(r.d) }

// hasDeadline tells whether the progress of a Deployment is watched at all.
func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

// pauseConditions records that a rollout was paused or resumed, so that the time it stood still does not count as lack of progress.
func (r *rollout) pauseConditions() {
	if !r.hasDeadline() {
		return
	}
	progress := condition(r.status, appsv1.DeploymentProgressing)
	if progress != nil && progress.Reason == reasonTimedOut {
		return
	}
	paused := progress != nil && progress.Reason == reasonPaused
	switch {
	case r.d.Spec.Paused && !paused:
		r.setProgress(v1.ConditionUnknown, reasonPaused, "Deployment is paused")
	case !r.d.Spec.Paused && paused:
		r.setProgress(v1.ConditionUnknown, reasonResumed, "Deployment is resumed")
	}
}

// complete tells whether all replicas are of the present template and available, and none is left over.
func (r *rollout) complete(s appsv1.DeploymentStatus) bool {
	want := r.wanted()
	return s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want && s.ObservedGeneration >= r.d.Generation
}

// progressed compares the new status with the last one.
func (r *rollout) progressed(s appsv1.DeploymentStatus) bool {
	before := r.d.Status
	return s.UpdatedReplicas > before.UpdatedReplicas ||
		s.Replicas-s.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		s.ReadyReplicas > before.ReadyReplicas || s.AvailableReplicas > before.AvailableReplicas
}

// timedOut tells whether there was no progress for spec.progressDeadlineSeconds.
func (r *rollout) timedOut() bool {
	c := condition(r.status, appsv1.DeploymentProgressing)
	switch {
	case c == nil, c.Reason == reasonNewAvailable:
		return false
	case c.Reason == reasonTimedOut:
		return true
	}
	return c.LastUpdateTime.Add(r.deadline()).Before(r.Now)
}

func (r *rollout) deadline() time.Duration {
	return time.Duration(*r.d.Spec.ProgressDeadlineSeconds) * time.Second
}

// computeStatus counts replicas and settles the conditions; rolling is false while the Deployment is paused, scaled or deleted,
// when lack of progress is no fault.
func (r *rollout) computeStatus(rolling bool) {
	sets := r.all()
	s := &r.status
	s.ObservedGeneration = r.d.Generation
	s.Replicas = total(sets, func(rs *appsv1.ReplicaSet) int32 { return rs.Status.Replicas })
	s.ReadyReplicas = total(sets, func(rs *appsv1.ReplicaSet) int32 { return rs.Status.ReadyReplicas })
	s.AvailableReplicas = total(sets, available)
	s.UnavailableReplicas = max(0, total(sets, size)-s.AvailableReplicas)
	s.TerminatingReplicas = ptr.To(total(sets, func(rs *appsv1.ReplicaSet) int32 { return ptr.Deref(rs.Status.TerminatingReplicas, 0) }))
	s.UpdatedReplicas = 0
	if r.new != nil {
		s.UpdatedReplicas = r.new.Status.Replicas
	}
	if s.AvailableReplicas >= r.wanted()-r.maxUnavailable() {
		r.setCondition(appsv1.DeploymentAvailable, v1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		r.setCondition(appsv1.DeploymentAvailable, v1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
	if rolling {
		r.computeProgress()
		r.replicaFailure()
	}
	r.plan.Status = *s
	r.plan.Wake = r.wake()
}

func (r *rollout) computeProgress() {
	s := &r.status
	if !r.hasDeadline() {
		removeCondition(s, appsv1.DeploymentProgressing)
		return
	}
	current := condition(*s, appsv1.DeploymentProgressing)
	if s.Replicas == s.UpdatedReplicas && current != nil && current.Reason == reasonNewAvailable {
		return // a finished rollout stays finished: pods that fail later are not its fault
	}
	subject := fmt.Sprintf("Deployment %q", r.d.Name)
	if r.new != nil {
		subject = fmt.Sprintf("ReplicaSet %q", r.new.Name)
	}
	switch {
	case r.complete(*s):
		r.setProgress(v1.ConditionTrue, reasonNewAvailable, subject+" has successfully progressed.")
	case r.progressed(*s):
		// The update time has to move with each progress, so the condition is written even if its reason stays the same.
		at := metav1.NewTime(r.Now)
		c := appsv1.DeploymentCondition{
			Type: appsv1.DeploymentProgressing, Status: v1.ConditionTrue, Reason: reasonUpdated, Message: subject + " is progressing.",
			LastUpdateTime: at, LastTransitionTime: at,
		}
		if current != nil && current.Status == v1.ConditionTrue {
			c.LastTransitionTime = current.LastTransitionTime
		}
		removeCondition(s, appsv1.DeploymentProgressing)
		s.Conditions = append(s.Conditions, c)
	case r.timedOut():
		r.setProgress(v1.ConditionFalse, reasonTimedOut, subject+" has timed out progressing.")
	}
}

// replicaFailure passes on the failure of a ReplicaSet to create pods, of the new set before others.
func (r *rollout) replicaFailure() {
	var failing *appsv1.ReplicaSetCondition
	for _, rs := range r.all() {
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				failing = &c // the new set is the last of all
			}
		}
	}
	if failing == nil {
		removeCondition(&r.status, appsv1.DeploymentReplicaFailure)
		return
	}
	r.setCondition(appsv1.DeploymentReplicaFailure, failing.Status, failing.Reason, failing.Message)
}

// wake returns when the progress deadline will have passed.
func (r *rollout) wake() time.Duration {
	c := condition(r.status, appsv1.DeploymentProgressing)
	if !r.hasDeadline() || r.d.DeletionTimestamp != nil || r.d.Spec.Paused || c == nil || r.complete(r.status) ||
		c.Reason == reasonTimedOut || c.Reason == reasonNewAvailable {
		return 0
	}
	return max(0, c.LastUpdateTime.Add(r.deadline()).Sub(r.Now)) + time.Second
}
