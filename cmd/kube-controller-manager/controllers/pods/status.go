// Package pods holds what the controllers of sets of pods share: what a pod's status means, which pod goes first when there
// are too many, how a pod is made from a template, and the writer that creates, deletes, adopts and releases pods.
package pods

import (
	"time"

	v1 "k8s.io/api/core/v1"
)

// Condition returns the pod's condition of type t, or nil.
func Condition(pod *v1.Pod, t v1.PodConditionType) *v1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == t {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// Ready tells whether the pod's Ready condition is true.
func Ready(pod *v1.Pod) bool {
	c := Condition(pod, v1.PodReady)
	return c != nil && c.Status == v1.ConditionTrue
}

// Available tells whether the pod has been ready for minReadySeconds at now; if it is ready but not for long enough, after is
// how long it still takes.
func Available(pod *v1.Pod, minReadySeconds int32, now time.Time) (available bool, after time.Duration) {
	if !Ready(pod) {
		return false, 0
	}
	if minReadySeconds == 0 {
		return true, 0
	}
	since := Condition(pod, v1.PodReady).LastTransitionTime
	if since.IsZero() {
		return false, 0
	}
	left := since.Add(time.Duration(minReadySeconds) * time.Second).Sub(now)
	if left <= 0 {
		return true, 0
	}
	return false, left
}

// Finished tells whether all containers of the pod have ended for good.
func Finished(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

// Active tells whether the pod counts as a replica: neither finished nor being deleted.
func Active(pod *v1.Pod) bool { return !Finished(pod) && pod.DeletionTimestamp == nil }

// Terminating tells whether the pod is being deleted and may still run.
func Terminating(pod *v1.Pod) bool { return !Finished(pod) && pod.DeletionTimestamp != nil }

// Select returns the pods for which keep is true.
func Select(pods []*v1.Pod, keep func(*v1.Pod) bool) []*v1.Pod {
	var kept []*v1.Pod
	for _, p := range pods {
		if keep(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Restarts is the highest restart count of the pod's containers, restartable init containers included.
func Restarts(pod *v1.Pod) int32 {
	var most int32
	for _, s := range pod.Status.ContainerStatuses {
		most = max(most, s.RestartCount)
	}
	sidecars := map[string]bool{}
	for _, c := range pod.Spec.InitContainers {
		sidecars[c.Name] = c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
	}
	for _, s := range pod.Status.InitContainerStatuses {
		if sidecars[s.Name] {
			most = max(most, s.RestartCount)
		}
	}
	return most
}
