package cronjob

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/job"
	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
)

// Input is all that a decision depends on.
type Input struct {
	CronJob *batchv1.CronJob
	// Jobs are those that the CronJob controls.
	Jobs []*batchv1.Job
	Now  time.Time
}

// Event is to be recorded.
type Event struct{ Type, Reason, Message string }

// Plan is one step of a CronJob.
type Plan struct {
	Delete []*batchv1.Job
	Create *batchv1.Job
	Status batchv1.CronJobStatus
	Events []Event
	Wake   time.Duration
}

// String prints the plan without the status.
func (p Plan) String() string {
	var b strings.Builder
	for _, j := range p.Delete {
		fmt.Fprintf(&b, "delete %s\n", j.Name)
	}
	if p.Create != nil {
		fmt.Fprintf(&b, "create %s\n", p.Create.Name)
	}
	for _, e := range p.Events {
		fmt.Fprintf(&b, "event %s: %s\n", e.Reason, e.Message)
	}
	return b.String()
}

type planner struct {
	Input
	plan   Plan
	status batchv1.CronJobStatus
}

// lateness is added to a wake-up, so that it does not come a moment too early.
const lateness = 100 * time.Millisecond

// Decide makes the plan.
func Decide(in Input) Plan {
	p := &planner{Input: in}
	in.CronJob.Status.DeepCopyInto(&p.status)
	p.observe()
	p.history()
	if in.CronJob.DeletionTimestamp == nil {
		p.start()
	}
	p.plan.Status = p.status
	return p.plan
}

func (p *planner) event(t, reason, format string, args ...any) {
	p.plan.Events = append(p.plan.Events, Event{t, reason, fmt.Sprintf(format, args...)})
}

func (p *planner) listed(uid types.UID) bool {
	return slices.ContainsFunc(p.status.Active, func(ref v1.ObjectReference) bool { return ref.UID == uid })
}

func (p *planner) unlist(uid types.UID) {
	p.status.Active = slices.DeleteFunc(slices.Clone(p.status.Active), func(ref v1.ObjectReference) bool { return ref.UID == uid })
}

// observe brings status.active and status.lastSuccessfulTime in line with the Jobs there are.
func (p *planner) observe() {
	there := map[types.UID]bool{}
	for _, j := range p.Jobs {
		there[j.UID] = true
		finished, listed := job.Finished(j), p.listed(j.UID)
		switch {
		case finished && listed:
			p.unlist(j.UID)
			p.event(v1.EventTypeNormal, "SawCompletedJob", "Saw completed job: %s, condition: %v", j.Name, outcome(j))
		case !finished && !listed:
			p.event(v1.EventTypeWarning, "UnexpectedJob", "Saw a job that the controller did not create or forgot: %s", j.Name)
			if _, ours := j.Annotations[batchv1.CronJobScheduledTimestampAnnotation]; ours { // the write of its status was lost
				p.status.Active = append(slices.Clone(p.status.Active), refTo(j))
			}
		}
		if outcome(j) == batchv1.JobComplete && j.Status.CompletionTime != nil &&
			(p.status.LastSuccessfulTime == nil || j.Status.CompletionTime.After(p.status.LastSuccessfulTime.Time)) {
			p.status.LastSuccessfulTime = j.Status.CompletionTime.DeepCopy()
		}
	}
	for _, ref := range slices.Clone(p.status.Active) {
		if !there[ref.UID] {
			p.event(v1.EventTypeNormal, "MissingJob", "Active job went missing: %v", ref.Name)
			p.unlist(ref.UID)
		}
	}
	if len(p.status.Active) == 0 {
		p.status.Active = nil
	}
}

func outcome(j *batchv1.Job) batchv1.JobConditionType {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == v1.ConditionTrue {
			return c.Type
		}
	}
	return ""
}

func refTo(j *batchv1.Job) v1.ObjectReference {
	return v1.ObjectReference{
		APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Namespace: j.Namespace, Name: j.Name, UID: j.UID, ResourceVersion: j.ResourceVersion,
	}
}

// history deletes the oldest finished Jobs beyond the limits.
func (p *planner) history() {
	for t, limit := range map[batchv1.JobConditionType]*int32{
		batchv1.JobComplete: p.CronJob.Spec.SuccessfulJobsHistoryLimit, batchv1.JobFailed: p.CronJob.Spec.FailedJobsHistoryLimit,
	} {
		if limit == nil {
			continue
		}
		var finished []*batchv1.Job
		for _, j := range p.Jobs {
			if outcome(j) == t && j.DeletionTimestamp == nil {
				finished = append(finished, j)
			}
		}
		slices.SortFunc(finished, func(a, b *batchv1.Job) int {
			return cmp.Or(startOf(a).Compare(startOf(b)), strings.Compare(a.Name, b.Name))
		})
		p.plan.Delete = append(p.plan.Delete, finished[:max(0, len(finished)-int(*limit))]...)
	}
	slices.SortFunc(p.plan.Delete, func(a, b *batchv1.Job) int { return strings.Compare(a.Name, b.Name) })
}

// startOf is when a Job started; one that never did comes last.
func startOf(j *batchv1.Job) time.Time {
	if j.Status.StartTime == nil {
		return time.Unix(1<<40, 0)
	}
	return j.Status.StartTime.Time
}

// start plans the Job that is due, if the deadline and the concurrency policy let it.
func (p *planner) start() {
	cj := p.CronJob
	if zone := cj.Spec.TimeZone; zone != nil {
		if _, err := time.LoadLocation(*zone); err != nil {
			p.event(v1.EventTypeWarning, "UnknownTimeZone", "invalid timeZone: %q: %s", *zone, err)
			return
		}
	}
	p.recall()
	if ptr.Deref(cj.Spec.Suspend, false) {
		return
	}
	schedule, err := parse(cj)
	if err != nil {
		p.event(v1.EventTypeWarning, "UnparseableSchedule", "unparseable schedule: %q : %s", cj.Spec.Schedule, err)
		return
	}
	from := cj.CreationTimestamp.Time
	if p.status.LastScheduleTime != nil {
		from = p.status.LastScheduleTime.Time
	}
	deadline := time.Duration(ptr.Deref(cj.Spec.StartingDeadlineSeconds, 0)) * time.Second
	if d := p.Now.Add(-deadline); cj.Spec.StartingDeadlineSeconds != nil && d.After(from) {
		from = d
	}
	at, missed, err := due(schedule, from, p.Now)
	if err != nil {
		p.event(v1.EventTypeWarning, "InvalidSchedule", "invalid schedule: %s : %s", cj.Spec.Schedule, err)
		return
	}
	if next := schedule.Next(p.Now); !next.IsZero() {
		p.plan.Wake = next.Sub(p.Now) + lateness
	}
	if missed > manyMissed {
		p.event(v1.EventTypeWarning, "TooManyMissedTimes", "too many missed start times: more than %d. Set or decrease .spec.startingDeadlineSeconds or check clock skew", manyMissed)
	}
	if at.IsZero() {
		return
	}
	if cj.Spec.StartingDeadlineSeconds != nil && at.Add(deadline).Before(p.Now) {
		p.event(v1.EventTypeWarning, "MissSchedule", "Missed scheduled time to start a job: %s", at.UTC().Format(time.RFC1123Z))
		return
	}
	if p.status.LastScheduleTime != nil && p.status.LastScheduleTime.Time.Equal(at) {
		return
	}
	switch {
	case len(p.status.Active) == 0:
	case cj.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent:
		p.event(v1.EventTypeNormal, "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
		return
	case cj.Spec.ConcurrencyPolicy == batchv1.ReplaceConcurrent:
		for _, j := range p.Jobs {
			if p.listed(j.UID) {
				p.plan.Delete = append(p.plan.Delete, j)
				p.unlist(j.UID)
			}
		}
	}
	p.plan.Create = newJob(cj, at)
	p.status.LastScheduleTime = ptr.To(metav1.NewTime(at))
}

// recall takes the time over of a Job that was started while the write of the status was lost.
func (p *planner) recall() {
	for _, j := range p.Jobs {
		at, err := time.Parse(time.RFC3339, j.Annotations[batchv1.CronJobScheduledTimestampAnnotation])
		if err == nil && (p.status.LastScheduleTime == nil || at.After(p.status.LastScheduleTime.Time)) {
			p.status.LastScheduleTime = ptr.To(metav1.NewTime(at))
		}
	}
}

// jobName is made of the scheduled minute, so that a time can be started only once.
func jobName(cj *batchv1.CronJob, at time.Time) string {
	return fmt.Sprintf("%s-%d", cj.Name, at.Unix()/60)
}

func newJob(cj *batchv1.CronJob, at time.Time) *batchv1.Job {
	template := cj.Spec.JobTemplate
	annotations := maps.Clone(template.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	stamp := at
	if cj.Spec.TimeZone != nil {
		if zone, err := time.LoadLocation(*cj.Spec.TimeZone); err == nil {
			stamp = at.In(zone)
		}
	}
	annotations[batchv1.CronJobScheduledTimestampAnnotation] = stamp.Format(time.RFC3339)
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name: jobName(cj, at), Namespace: cj.Namespace, Labels: maps.Clone(template.Labels), Annotations: annotations,
		OwnerReferences: []metav1.OwnerReference{ownership.Reference(cj, batchv1.SchemeGroupVersion.String(), "CronJob")},
	}}
	template.Spec.DeepCopyInto(&j.Spec)
	return j
}
