package job

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func (p *planner) now() metav1.Time { return metav1.NewTime(p.Now) }

func condition(s *batchv1.JobStatus, t batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

func isTrue(s *batchv1.JobStatus, t batchv1.JobConditionType) bool {
	c := condition(s, t)
	return c != nil && c.Status == v1.ConditionTrue
}

// Finished tells whether a Job is complete or failed.
func Finished(job *batchv1.Job) bool {
	return isTrue(&job.Status, batchv1.JobComplete) || isTrue(&job.Status, batchv1.JobFailed)
}

func (p *planner) setCondition(t batchv1.JobConditionType, status v1.ConditionStatus, reason, message string) (changed bool) {
	if have := condition(&p.status, t); have != nil {
		if have.Status == status {
			return false
		}
		have.Status, have.Reason, have.Message, have.LastTransitionTime, have.LastProbeTime = status, reason, message, p.now(), p.now()
		return true
	}
	if status == v1.ConditionFalse {
		return false
	}
	p.status.Conditions = append(slices.Clone(p.status.Conditions), batchv1.JobCondition{
		Type: t, Status: status, Reason: reason, Message: message, LastProbeTime: p.now(), LastTransitionTime: p.now(),
	})
	return true
}

// decided sets the outcome: the Job fails (FailureTarget) or succeeds (SuccessCriteriaMet), once its last pods are gone.
func (p *planner) decided(t batchv1.JobConditionType, reason, message string) {
	p.setCondition(t, v1.ConditionTrue, reason, message)
	p.outcome = condition(&p.status, t)
}

// judgeJob finds out whether the Job has failed, or met its success policy; what was decided earlier stays.
func (p *planner) judgeJob() {
	spec := p.Job.Spec
	for _, t := range []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		if isTrue(&p.status, t) {
			p.outcome = condition(&p.status, t)
			return
		}
	}
	for _, pod := range p.Pods {
		if failed(p.Job, pod) && !dropped(pod) {
			if v := judge(spec.PodFailurePolicy, pod); v.action == batchv1.PodFailurePolicyActionFailJob {
				p.decided(batchv1.JobFailureTarget, batchv1.JobReasonPodFailurePolicy, v.message)
				return
			}
		}
	}
	limit := int(ptr.Deref(spec.BackoffLimit, 6))
	switch {
	case p.failures > limit || p.restartsExceed(limit):
		p.decided(batchv1.JobFailureTarget, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
		return
	case spec.ActiveDeadlineSeconds != nil && !suspended(p.Job) && p.status.StartTime != nil:
		left := p.status.StartTime.Add(time.Duration(*spec.ActiveDeadlineSeconds) * time.Second).Sub(p.Now)
		if left <= 0 {
			p.decided(batchv1.JobFailureTarget, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
			return
		}
		p.wake(left)
	}
	completions, fixed := p.completions()
	if !indexed(p.Job) || !fixed {
		return
	}
	broken := p.failedIndexes.total()
	switch {
	case spec.MaxFailedIndexes != nil && broken > int(*spec.MaxFailedIndexes):
		p.decided(batchv1.JobFailureTarget, batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes")
	case broken > 0 && broken+p.done.total() >= completions:
		p.decided(batchv1.JobFailureTarget, batchv1.JobReasonFailedIndexes, "Job has failed indexes")
	default:
		if message, ok := succeeds(spec.SuccessPolicy, completions, p.done); ok {
			p.decided(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonSuccessPolicy, message)
			p.plan.Drop = nil
		}
	}
}

// restartsExceed counts restarts of containers against the limit, for pods that the kubelet restarts in place.
func (p *planner) restartsExceed(limit int) bool {
	if p.Job.Spec.Template.Spec.RestartPolicy != v1.RestartPolicyOnFailure {
		return false
	}
	restarts := 0
	for _, pod := range p.Pods {
		if pod.Status.Phase != v1.PodRunning && pod.Status.Phase != v1.PodPending {
			continue
		}
		for _, list := range [][]v1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for _, c := range list {
				restarts += int(c.RestartCount)
			}
		}
	}
	return restarts > 0 && restarts >= limit
}

// completion finds out whether the Job has done its work.
func (p *planner) completion() {
	running := len(p.active) - len(p.plan.Drop) + len(p.plan.Create)
	completions, fixed := p.completions()
	if fixed && p.succeeded >= completions && running <= 0 || !fixed && p.succeeded > 0 && running == 0 {
		p.decided(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods")
	}
}

// suspension records that the Job was suspended or resumed. A suspended Job has no start time (KEP-5440), so that its
// time starts anew when it is resumed.
func (p *planner) suspension() {
	if p.outcome != nil {
		return
	}
	switch {
	case suspended(p.Job):
		p.status.StartTime = nil
		if p.setCondition(batchv1.JobSuspended, v1.ConditionTrue, "JobSuspended", "Job suspended") {
			p.plan.Events = append(p.plan.Events, Event{v1.EventTypeNormal, "Suspended", "Job suspended"})
		}
	case p.setCondition(batchv1.JobSuspended, v1.ConditionFalse, "JobResumed", "Job resumed"):
		p.plan.Events = append(p.plan.Events, Event{v1.EventTypeNormal, "Resumed", "Job resumed"})
		p.status.StartTime = ptr.To(p.now())
		if s := p.Job.Spec.ActiveDeadlineSeconds; s != nil {
			p.wake(time.Duration(*s) * time.Second)
		}
	}
}

// finish sets the final condition when the outcome is known, every pod has ended, and each is in the counters.
func (p *planner) finish() {
	uncounted := p.status.UncountedTerminatedPods
	if p.outcome == nil || len(uncounted.Succeeded)+len(uncounted.Failed)+len(p.plan.Untrack) > 0 ||
		p.status.Active > 0 || ptr.Deref(p.status.Terminating, 0) > 0 {
		return
	}
	reason, message := p.outcome.Reason, p.outcome.Message
	if p.outcome.Type == batchv1.JobFailureTarget {
		p.setCondition(batchv1.JobFailed, v1.ConditionTrue, reason, message)
		p.plan.Events = append(p.plan.Events, Event{v1.EventTypeWarning, reason, message})
		return
	}
	p.setCondition(batchv1.JobComplete, v1.ConditionTrue, reason, message)
	p.status.CompletionTime = ptr.To(p.now())
	p.plan.Events = append(p.plan.Events, Event{v1.EventTypeNormal, "Completed", "Job completed"})
}
