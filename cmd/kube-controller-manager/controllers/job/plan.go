package job

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

const (
	// maxChanges bounds the pods created or deleted by one reconciliation.
	maxChanges = 500
	// maxUncounted bounds the UIDs in the status.
	maxUncounted = 500
)

// Input is all that a decision depends on.
type Input struct {
	Job *batchv1.Job
	// Pods are the Job's own, counted ones included.
	Pods []*v1.Pod
	Now  time.Time
}

// Event is to be recorded once the status is written.
type Event struct{ Type, Reason, Message string }

// Plan is one step of a Job.
type Plan struct {
	Create []slot
	// Drop are pods that are not wanted any more, and do not count as failed. Kill are pods of a finished Job, which do.
	Drop, Kill []*v1.Pod
	// Status counts the pods to be created as active; the writer corrects it by failures.
	Status batchv1.JobStatus
	// Untrack are pods whose end is in Status, and that may lose their finalizer once it is written.
	Untrack []*v1.Pod
	Events  []Event
	Wake    time.Duration
}

// String prints the plan without the status.
func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p.Create {
		fmt.Fprintln(&b, s)
	}
	for _, part := range []struct {
		verb string
		list []*v1.Pod
	}{{"drop", p.Drop}, {"kill", p.Kill}, {"untrack", p.Untrack}} {
		for _, pod := range part.list {
			fmt.Fprintf(&b, "%s %s\n", part.verb, pod.Name)
		}
	}
	for _, e := range p.Events {
		fmt.Fprintf(&b, "event %s: %s\n", e.Reason, e.Message)
	}
	return b.String()
}

type planner struct {
	Input
	plan   Plan
	status batchv1.JobStatus

	active        []*v1.Pod
	terminating   int
	uncountedDone sets.Set[types.UID]
	uncountedFail sets.Set[types.UID]

	succeeded, failures int
	done, failedIndexes indexes
	delayed             map[int]*v1.Pod // last failed pod of an index that has to be replaced, with backoffLimitPerIndex
	outcome             *batchv1.JobCondition
}

// Decide makes the plan.
func Decide(in Input) Plan {
	p := &planner{Input: in}
	in.Job.Status.DeepCopyInto(&p.status)
	p.observe()
	if !suspended(in.Job) && p.status.StartTime == nil {
		p.status.StartTime = ptr.To(p.now())
	}
	p.judgeJob()
	if p.outcome != nil {
		// Pods are killed once the outcome is written: a planner that did not know why they end would count them as failures.
		if p.Job.DeletionTimestamp == nil && isTrue(&p.Job.Status, p.outcome.Type) {
			p.plan.Kill = p.active
		}
	} else if in.Job.DeletionTimestamp == nil {
		p.manage()
		p.completion()
		p.suspension()
	}
	p.count()
	p.finish()
	p.plan.Status = p.status
	return p.plan
}

func (p *planner) wake(after time.Duration) {
	if after > 0 && (p.plan.Wake == 0 || after < p.plan.Wake) {
		p.plan.Wake = after
	}
}

func (p *planner) completions() (int, bool) {
	if p.Job.Spec.Completions == nil {
		return 0, false
	}
	return int(*p.Job.Spec.Completions), true
}

// observe sorts the pods, and counts those that ended: in the status, on the way into it, and not in it yet.
func (p *planner) observe() {
	slices.SortFunc(p.Pods, func(a, b *v1.Pod) int { return strings.Compare(a.Name, b.Name) })
	p.settleUncounted()
	p.succeeded = int(p.status.Succeeded) + p.uncountedDone.Len()
	p.failures = int(p.status.Failed) + p.uncountedFail.Len()
	completions, _ := p.completions()
	if indexed(p.Job) {
		p.done = parseIndexes(p.status.CompletedIndexes, completions)
		if p.Job.Spec.BackoffLimitPerIndex != nil {
			p.failedIndexes = parseIndexes(ptr.Deref(p.status.FailedIndexes, ""), completions)
		}
	}
	for _, pod := range p.Pods {
		switch {
		case pods.Active(pod):
			p.active = append(p.active, pod)
		case !ended(pod):
			p.terminating++
		}
		if !tracked(pod) || p.uncountedDone.Has(pod.UID) || p.uncountedFail.Has(pod.UID) {
			continue
		}
		switch {
		case pod.Status.Phase == v1.PodSucceeded:
			if !indexed(p.Job) {
				p.succeeded++
			} else if i := indexOf(pod); i != noIndex && i < completions {
				p.done = p.done.with(i)
			}
		case failed(p.Job, pod):
			if judge(p.Job.Spec.PodFailurePolicy, pod).counts() && (!indexed(p.Job) || indexOf(pod) < completions) {
				p.failures++
			}
		}
	}
	if indexed(p.Job) {
		p.succeeded = p.done.total()
		p.observeFailedIndexes(completions)
	}
}

// settleUncounted moves UIDs of pods that lost their finalizer, or are gone, from the uncounted ones into the counters.
func (p *planner) settleUncounted() {
	p.uncountedDone, p.uncountedFail = sets.New[types.UID](), sets.New[types.UID]()
	if p.status.UncountedTerminatedPods == nil {
		return
	}
	held := sets.New[types.UID]()
	for _, pod := range p.Pods {
		if tracked(pod) {
			held.Insert(pod.UID)
		}
	}
	settle := func(list []types.UID, left sets.Set[types.UID], counter *int32) {
		for _, uid := range list {
			if held.Has(uid) {
				left.Insert(uid)
			} else {
				*counter++
			}
		}
	}
	settle(p.status.UncountedTerminatedPods.Succeeded, p.uncountedDone, &p.status.Succeeded)
	settle(p.status.UncountedTerminatedPods.Failed, p.uncountedFail, &p.status.Failed)
}

// observeFailedIndexes finds indexes that used up their own back-off limit, and the failed pods that others have to replace.
func (p *planner) observeFailedIndexes(completions int) {
	limit := p.Job.Spec.BackoffLimitPerIndex
	if limit == nil {
		return
	}
	p.delayed = map[int]*v1.Pod{}
	for _, pod := range p.Pods {
		i := indexOf(pod)
		if i == noIndex || i >= completions || !tracked(pod) || !failed(p.Job, pod) {
			continue
		}
		v := judge(p.Job.Spec.PodFailurePolicy, pod)
		if v.action == batchv1.PodFailurePolicyActionFailIndex || v.counts() && countIn(pod, batchv1.JobIndexFailureCountAnnotation) >= int(*limit) {
			p.failedIndexes = p.failedIndexes.with(i)
		}
		if last := p.delayed[i]; last == nil || totalFailures(last) < totalFailures(pod) {
			p.delayed[i] = pod
		}
	}
	// A pod needs no replacement when its index is done, failed for good, or has a successor.
	for _, pod := range p.Pods {
		i := indexOf(pod)
		if last := p.delayed[i]; last != nil && last != pod && totalFailures(pod) > totalFailures(last) {
			delete(p.delayed, i)
		}
	}
	for i := range p.delayed {
		if p.done.has(i) || p.failedIndexes.has(i) {
			delete(p.delayed, i)
		}
	}
}

func totalFailures(pod *v1.Pod) int {
	return countIn(pod, batchv1.JobIndexFailureCountAnnotation) + countIn(pod, batchv1.JobIndexIgnoredFailureCountAnnotation)
}

// manage plans the pods to create or drop.
func (p *planner) manage() {
	if suspended(p.Job) {
		p.plan.Drop = p.active[:min(len(p.active), maxChanges)]
		return
	}
	// The process ended while it dropped these: they run, and their end would count for nothing.
	if half := pods.Select(p.active, func(pod *v1.Pod) bool { return !tracked(pod) }); len(half) > 0 {
		p.plan.Drop = half[:min(len(half), maxChanges)]
		return
	}
	want := p.wantActive()
	if p.plan.Drop = p.surplus(len(p.active) - want); len(p.plan.Drop) > 0 {
		return
	}
	missing := want - len(p.active)
	if replacesFailedOnly(p.Job) {
		missing -= p.terminating
	}
	if missing <= 0 {
		return
	}
	if p.Job.Spec.BackoffLimitPerIndex == nil {
		if left := backOffLeft(p.Job, p.Pods, p.Now); left > 0 {
			p.wake(left)
			return
		}
	}
	missing = min(missing, maxChanges)
	if !indexed(p.Job) {
		p.plan.Create = slices.Repeat([]slot{{index: noIndex}}, missing)
		return
	}
	p.plan.Create = p.freeIndexes(missing)
}

// wantActive is the number of pods that should run now.
func (p *planner) wantActive() int {
	parallelism := int(ptr.Deref(p.Job.Spec.Parallelism, 1))
	completions, fixed := p.completions()
	if !fixed {
		// A work queue: the first success says that the queue is empty, and no pod is started after it.
		if p.succeeded > 0 {
			return min(len(p.active), parallelism)
		}
		return parallelism
	}
	return max(0, min(parallelism, completions-p.succeeded-p.failedIndexes.total()))
}

// surplus returns active pods to drop: second pods of an index, pods of no valid index, and n in total at least.
func (p *planner) surplus(n int) []*v1.Pod {
	drop := map[types.UID]bool{}
	var list, rest []*v1.Pod
	if indexed(p.Job) {
		completions, _ := p.completions()
		byIndex := map[int][]*v1.Pod{}
		for _, pod := range p.active {
			byIndex[indexOf(pod)] = append(byIndex[indexOf(pod)], pod)
		}
		for _, i := range slices.Sorted(mapKeys(byIndex)) {
			same := byIndex[i]
			pods.SortForDeletion(same, nil, p.Now)
			keep := 1
			if i == noIndex || i >= completions || p.done.has(i) || p.failedIndexes.has(i) {
				keep = 0
			}
			for _, pod := range same[:len(same)-keep] {
				drop[pod.UID] = true
				list = append(list, pod)
			}
		}
	}
	for _, pod := range p.active {
		if !drop[pod.UID] {
			rest = append(rest, pod)
		}
	}
	if more := n - len(list); more > 0 {
		pods.SortForDeletion(rest, nil, p.Now)
		list = append(list, rest[:min(more, len(rest))]...)
	}
	return list[:min(len(list), maxChanges)]
}

func mapKeys[V any](m map[int]V) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// freeIndexes returns the lowest n indexes that are neither done nor failed nor have a pod, and whose own back-off is over.
func (p *planner) freeIndexes(n int) []slot {
	completions, _ := p.completions()
	taken := map[int]bool{}
	for _, pod := range p.Pods {
		if pods.Active(pod) || replacesFailedOnly(p.Job) && !ended(pod) {
			taken[indexOf(pod)] = true
		}
	}
	var free []slot
	for i := 0; i < completions && len(free) < n; i++ {
		if taken[i] || p.done.has(i) || p.failedIndexes.has(i) {
			continue
		}
		last := p.delayed[i]
		if last != nil {
			if left := endTime(last).Add(delay(totalFailures(last) + 1)).Sub(p.Now); left > 0 {
				p.wake(left)
				continue
			}
		}
		free = append(free, slot{i, last})
	}
	return free
}

// count plans which ended pods go into the status, and which lose their finalizer.
func (p *planner) count() {
	completions, _ := p.completions()
	var done []int
	budget := maxUncounted
	for _, pod := range p.Pods {
		over := p.outcome != nil || p.Job.DeletionTimestamp != nil
		counted := p.uncountedDone.Has(pod.UID) || p.uncountedFail.Has(pod.UID)
		succeeded := pod.Status.Phase == v1.PodSucceeded
		lost := failed(p.Job, pod) || over && ended(pod) || p.Job.DeletionTimestamp != nil
		if !tracked(pod) || !succeeded && !lost {
			continue
		}
		if last := p.delayed[indexOf(pod)]; last == pod && !over {
			continue // its failure count is needed until its successor carries it on
		}
		if budget--; budget < 0 {
			break
		}
		p.plan.Untrack = append(p.plan.Untrack, pod)
		if counted {
			continue
		}
		i := indexOf(pod)
		valid := !indexed(p.Job) || i != noIndex && i < completions
		switch {
		case !valid:
		case succeeded && indexed(p.Job):
			done = append(done, i) // the index is enough to count it once
		case succeeded:
			p.uncountedDone.Insert(pod.UID)
		case judge(p.Job.Spec.PodFailurePolicy, pod).counts():
			p.uncountedFail.Insert(pod.UID)
		}
	}
	if indexed(p.Job) {
		all := parseIndexes(p.status.CompletedIndexes, completions).with(done...)
		p.status.CompletedIndexes, p.status.Succeeded = all.String(), int32(all.total())
		if p.Job.Spec.BackoffLimitPerIndex != nil {
			p.status.FailedIndexes = ptr.To(p.failedIndexes.String())
		}
	}
	p.status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: sorted(p.uncountedDone), Failed: sorted(p.uncountedFail)}
	p.countActive()
}

// countActive counts a pod that leaves by this plan as terminating only: the server refuses a status with more ready than active pods.
func (p *planner) countActive() {
	leaving := sets.New[types.UID]()
	for _, pod := range slices.Concat(p.plan.Drop, p.plan.Kill) {
		leaving.Insert(pod.UID)
	}
	ready := 0
	for _, pod := range p.active {
		if pods.Ready(pod) && !leaving.Has(pod.UID) {
			ready++
		}
	}
	p.status.Active = int32(len(p.active) - leaving.Len() + len(p.plan.Create))
	p.status.Ready = ptr.To(int32(ready))
	p.status.Terminating = ptr.To(int32(p.terminating + leaving.Len()))
}

func sorted(set sets.Set[types.UID]) []types.UID {
	if set.Len() == 0 {
		return nil
	}
	list := set.UnsortedList()
	slices.SortFunc(list, cmp.Compare[types.UID])
	return list
}
