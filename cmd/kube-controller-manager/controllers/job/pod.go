// Package job runs the pods of each Job to completion, and counts each of them exactly once.
//
// A pod carries the finalizer batch.kubernetes.io/job-tracking until it is counted (KEP-2307): its UID is first written to
// status.uncountedTerminatedPods, then the finalizer is removed, then the number goes up and the UID goes away. A controller that
// stops between two of these steps goes on where it stopped, and neither loses a pod nor counts it twice. Back-off after
// failures is computed from the times in the failed pods themselves, so that it survives a restart.
package job

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

const (
	completionIndexEnv = "JOB_COMPLETION_INDEX"
	noIndex            = -1
	// The delay after the n-th failure in a row is baseDelay * 2^(n-1), at most maxDelay.
	baseDelay = 10 * time.Second
	maxDelay  = 10 * time.Minute
)

func reference(job *batchv1.Job) metav1.OwnerReference {
	return ownership.Reference(job, batchv1.SchemeGroupVersion.String(), "Job")
}

func indexed(job *batchv1.Job) bool {
	return ptr.Deref(job.Spec.CompletionMode, batchv1.NonIndexedCompletion) == batchv1.IndexedCompletion
}

func suspended(job *batchv1.Job) bool { return ptr.Deref(job.Spec.Suspend, false) }

// replacesFailedOnly tells whether a terminating pod is replaced when it has failed, and not already when it is terminating.
func replacesFailedOnly(job *batchv1.Job) bool {
	return ptr.Deref(job.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) == batchv1.Failed || job.Spec.PodFailurePolicy != nil
}

func tracked(pod *v1.Pod) bool { return slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer) }

// ended tells whether nothing of the pod can run any more: it finished, or it is being deleted and no node ever had it.
func ended(pod *v1.Pod) bool {
	return pods.Finished(pod) || pod.DeletionTimestamp != nil && pod.Spec.NodeName == ""
}

// failed tells whether a pod counts as failed.
func failed(job *batchv1.Job, pod *v1.Pod) bool {
	switch {
	case pod.Status.Phase == v1.PodFailed:
		return true
	case pod.Status.Phase == v1.PodSucceeded:
		return false
	case replacesFailedOnly(job):
		return ended(pod)
	}
	return pod.DeletionTimestamp != nil
}

func indexOf(pod *v1.Pod) int {
	i, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || i < 0 {
		return noIndex
	}
	return i
}

func countIn(pod *v1.Pod, annotation string) int {
	n, err := strconv.Atoi(pod.Annotations[annotation])
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// endTime is when the pod's last container ended, as well as it is known.
func endTime(pod *v1.Pod) time.Time {
	var last time.Time
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Terminated != nil && c.State.Terminated.FinishedAt.After(last) {
			last = c.State.Terminated.FinishedAt.Time
		}
	}
	if !last.IsZero() {
		return last
	}
	if c := pods.Condition(pod, v1.PodReady); c != nil && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	if pod.DeletionTimestamp != nil {
		return pod.DeletionTimestamp.Add(-time.Duration(ptr.Deref(pod.DeletionGracePeriodSeconds, 0)) * time.Second)
	}
	return pod.CreationTimestamp.Time
}

// delay is the back-off after so many failures in a row.
func delay(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	if failures > 10 {
		return maxDelay
	}
	return min(baseDelay<<(failures-1), maxDelay)
}

// backOffLeft is how long a Job has to wait before it replaces failed pods: the failures since the last success count.
func backOffLeft(job *batchv1.Job, owned []*v1.Pod, now time.Time) time.Duration {
	var success, last time.Time
	for _, pod := range owned {
		if pod.Status.Phase == v1.PodSucceeded && endTime(pod).After(success) {
			success = endTime(pod)
		}
	}
	failures := 0
	for _, pod := range owned {
		if at := endTime(pod); failed(job, pod) && !dropped(pod) && at.After(success) {
			failures++
			if at.After(last) {
				last = at
			}
		}
	}
	return max(0, last.Add(delay(failures)).Sub(now))
}

// dropped tells whether a pod was taken away by a suspension or a lower parallelism: it lost its finalizer while it ran.
func dropped(pod *v1.Pod) bool { return !tracked(pod) && pod.DeletionTimestamp != nil }

// slot says which pod is to be created.
type slot struct {
	index    int
	replaces *v1.Pod // the failed pod of the same index whose failures go on being counted, with backoffLimitPerIndex
}

func (s slot) String() string {
	if s.index == noIndex {
		return "create a pod"
	}
	return fmt.Sprintf("create index %d", s.index)
}

// newPod makes a pod of the Job.
func newPod(job *batchv1.Job, s slot) *v1.Pod {
	pod := pods.FromTemplate(&job.Spec.Template, job.Namespace, reference(job))
	pod.Finalizers = append(pod.Finalizers, batchv1.JobTrackingFinalizer)
	if s.index == noIndex {
		return pod
	}
	index := strconv.Itoa(s.index)
	pod.Annotations, pod.Labels = ensure(pod.Annotations), ensure(pod.Labels)
	pod.Annotations[batchv1.JobCompletionIndexAnnotation] = index
	pod.Labels[batchv1.JobCompletionIndexAnnotation] = index
	pod.Spec.Hostname = job.Name + "-" + index
	pod.GenerateName = job.Name + "-" + index + "-"
	env := v1.EnvVar{Name: completionIndexEnv, ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{
		FieldPath: fmt.Sprintf("metadata.labels['%s']", batchv1.JobCompletionIndexAnnotation),
	}}}
	for _, containers := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if !slices.ContainsFunc(containers[i].Env, func(e v1.EnvVar) bool { return e.Name == completionIndexEnv }) {
				containers[i].Env = append(containers[i].Env, env)
			}
		}
	}
	if job.Spec.BackoffLimitPerIndex != nil {
		count, ignored := 0, 0
		if s.replaces != nil {
			count, ignored = countIn(s.replaces, batchv1.JobIndexFailureCountAnnotation), countIn(s.replaces, batchv1.JobIndexIgnoredFailureCountAnnotation)
			if judge(job.Spec.PodFailurePolicy, s.replaces).counts() {
				count++
			} else {
				ignored++
			}
		}
		pod.Annotations[batchv1.JobIndexFailureCountAnnotation] = strconv.Itoa(count)
		if ignored > 0 {
			pod.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation] = strconv.Itoa(ignored)
		}
	}
	return pod
}

func ensure(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}
