package statefulset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	intstrutil "k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// Revision is a version of the pod template.
type Revision struct {
	Name     string
	Template *v1.PodTemplateSpec
}

// Input is all that a decision depends on.
type Input struct {
	Set *appsv1.StatefulSet
	// Current is the revision that pods below the partition have, Update the one of the present template.
	Current, Update Revision
	Collisions      *int32
	// Pods are the set's own.
	Pods []*v1.Pod
	// Claim reads a PersistentVolumeClaim of the namespace; nil when there is none.
	Claim func(name string) *v1.PersistentVolumeClaim
	Now   time.Time
}

// NewClaim is a claim to create, and the name of the pod that it is for.
type NewClaim struct {
	*v1.PersistentVolumeClaim
	Pod string
}

// ClaimUpdate is a claim whose owner references are to change.
type ClaimUpdate struct {
	Claim  *v1.PersistentVolumeClaim
	Owners []metav1.OwnerReference
}

// Plan is one step of a StatefulSet.
type Plan struct {
	// Claims of pods that exist or are to be created, which do not exist yet.
	Claims []NewClaim
	// Owners are claims that come under another retention rule.
	Owners []ClaimUpdate
	Create []*v1.Pod
	// Label are pods that lost the labels of their identity.
	Label  []*v1.Pod
	Delete []*v1.Pod
	Status appsv1.StatefulSetStatus
	// Wake is when a ready pod becomes available; zero: nothing to wait for.
	Wake time.Duration
	// Blocked says why a pod cannot be created yet, for a retry.
	Blocked error
}

// String prints the plan without the status.
func (p Plan) String() string {
	var b strings.Builder
	for _, c := range p.Claims {
		fmt.Fprintf(&b, "create claim %s\n", c.Name)
	}
	for _, o := range p.Owners {
		fmt.Fprintf(&b, "set owners of claim %s: %d\n", o.Claim.Name, len(o.Owners))
	}
	for _, pod := range p.Create {
		fmt.Fprintf(&b, "create %s at %s\n", pod.Name, pod.Labels[appsv1.ControllerRevisionHashLabelKey])
	}
	for _, pod := range p.Label {
		fmt.Fprintf(&b, "label %s\n", pod.Name)
	}
	for _, pod := range p.Delete {
		fmt.Fprintf(&b, "delete %s\n", pod.Name)
	}
	if p.Blocked != nil {
		fmt.Fprintf(&b, "blocked: %v\n", p.Blocked)
	}
	return b.String()
}

type planner struct {
	Input
	plan    Plan
	ordered bool
	slots   []*v1.Pod // by ordinal from start; nil where there is no pod
	extra   []*v1.Pod // pods of other ordinals, highest first
}

// Decide makes the plan.
func Decide(in Input) Plan {
	p := &planner{Input: in, ordered: in.Set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement}
	p.slots = make([]*v1.Pod, wanted(in.Set))
	for _, pod := range in.Pods {
		if _, ordinal := ordinalOf(pod); inRange(in.Set, ordinal) {
			p.slots[ordinal-start(in.Set)] = pod
		} else if ordinal >= 0 {
			p.extra = append(p.extra, pod)
		}
	}
	slices.SortFunc(p.extra, func(a, b *v1.Pod) int {
		_, x := ordinalOf(a)
		_, y := ordinalOf(b)
		return cmp.Compare(y, x)
	})
	p.countStatus()
	if in.Set.DeletionTimestamp == nil && p.fill() && p.shrink() {
		p.update()
	}
	return p.plan
}

func revisionOf(pod *v1.Pod) string { return pod.Labels[appsv1.ControllerRevisionHashLabelKey] }

func runningReady(pod *v1.Pod) bool { return pod.Status.Phase == v1.PodRunning && pods.Ready(pod) }

// available tells whether a pod serves: running, ready for minReadySeconds, and not on its way out.
func (p *planner) available(pod *v1.Pod) bool {
	if pod == nil || pod.DeletionTimestamp != nil || !runningReady(pod) {
		return false
	}
	ok, after := pods.Available(pod, p.Set.Spec.MinReadySeconds, p.Now)
	if after > 0 && (p.plan.Wake == 0 || after < p.plan.Wake) {
		p.plan.Wake = after
	}
	return ok
}

func (p *planner) countStatus() {
	status := appsv1.StatefulSetStatus{
		ObservedGeneration: p.Set.Generation, CurrentRevision: p.Current.Name, UpdateRevision: p.Update.Name,
		CollisionCount: p.Collisions, Conditions: p.Set.Status.Conditions,
	}
	for _, pod := range p.Pods {
		if pod.Status.Phase == "" { // not yet taken in by the API server
			continue
		}
		status.Replicas++
		if runningReady(pod) {
			status.ReadyReplicas++
			if ok, after := pods.Available(pod, p.Set.Spec.MinReadySeconds, p.Now); ok {
				status.AvailableReplicas++
			} else if after > 0 && (p.plan.Wake == 0 || after < p.plan.Wake) {
				p.plan.Wake = after
			}
		}
		if pod.DeletionTimestamp == nil {
			if revisionOf(pod) == p.Current.Name {
				status.CurrentReplicas++
			}
			if revisionOf(pod) == p.Update.Name {
				status.UpdatedReplicas++
			}
		}
	}
	want := int32(wanted(p.Set))
	if p.Set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType &&
		status.UpdatedReplicas == want && status.ReadyReplicas == want && status.Replicas == want {
		status.CurrentReplicas, status.CurrentRevision = status.UpdatedReplicas, status.UpdateRevision
	}
	p.plan.Status = status
}

// revisionFor is the revision of a pod created now: below the partition of a rolling update the current one.
func (p *planner) revisionFor(ordinal int) Revision {
	if p.Set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && ordinal < start(p.Set)+p.partition() {
		return p.Current
	}
	return p.Update
}

func (p *planner) partition() int {
	if r := p.Set.Spec.UpdateStrategy.RollingUpdate; r != nil {
		return int(ptr.Deref(r.Partition, 0))
	}
	return 0
}

// fill sees to it that each ordinal has a healthy pod with its identity and claims. It returns false when something lower has
// to be waited for before pods may be removed.
func (p *planner) fill() (settled bool) {
	settled = true
	for i, pod := range p.slots {
		ordinal := start(p.Set) + i
		switch {
		case pod == nil:
			settled = false
			pod = newPod(p.Set, p.revisionFor(ordinal), ordinal)
			if p.ensureClaims(pod, ordinal) {
				p.plan.Create = append(p.plan.Create, pod)
			}
		case pods.Finished(pod):
			// A pod that ended is replaced, under the same name, once it is gone from the API server.
			settled = false
			if pod.DeletionTimestamp == nil {
				p.plan.Delete = append(p.plan.Delete, pod)
			}
		default:
			p.keep(pod, ordinal)
			if p.available(pod) {
				continue
			}
		}
		if p.ordered {
			return false
		}
	}
	return settled
}

// keep repairs a living pod's labels and claims.
func (p *planner) keep(pod *v1.Pod, ordinal int) {
	if pod.DeletionTimestamp != nil {
		return
	}
	p.ensureClaims(pod, ordinal)
	if !identified(pod) {
		fresh := pod.DeepCopy()
		identify(p.Set, fresh)
		p.plan.Label = append(p.plan.Label, fresh)
	}
}

// ensureClaims plans missing claims and ownership of a pod's claims; it returns false when the pod cannot be created yet.
func (p *planner) ensureClaims(pod *v1.Pod, ordinal int) bool {
	ready := true
	for _, claim := range claims(p.Set, ordinal) {
		have := p.Claim(claim.Name)
		switch {
		case have == nil:
			if pod.UID == "" || pod.Status.Phase == v1.PodPending {
				claim.OwnerReferences, _ = claimOwners(p.Set, pod, claim)
				p.plan.Claims = append(p.plan.Claims, NewClaim{claim, pod.Name})
			}
		case pod.UID == "" && (have.DeletionTimestamp != nil || staleClaim(pod, have)):
			p.plan.Blocked = fmt.Errorf("PersistentVolumeClaim %s/%s of pod %s is being deleted", have.Namespace, have.Name, pod.Name)
			ready = false
		default:
			if owners, change := claimOwners(p.Set, pod, have); change {
				p.plan.Owners = append(p.plan.Owners, ClaimUpdate{have, owners})
			}
		}
	}
	return ready
}

// shrink removes pods beyond the wanted number, the highest ordinal first. With ordered management one goes at a time, and only
// while all that stay are healthy; a pod that is itself the sick one may go. It returns true when there is nothing to remove.
func (p *planner) shrink() bool {
	sickest := p.firstUnhealthy()
	for _, pod := range p.extra {
		_, ordinal := ordinalOf(pod)
		if pod.DeletionTimestamp == nil {
			p.ensureClaims(pod, ordinal) // ownership according to whenScaled, before the pod goes
		}
	}
	for _, pod := range p.extra {
		if pod.DeletionTimestamp != nil {
			if p.ordered {
				return false
			}
			continue
		}
		if p.ordered && !p.available(pod) && !pods.Finished(pod) && pod != sickest {
			return false
		}
		p.plan.Delete = append(p.plan.Delete, pod)
		if p.ordered {
			return false
		}
	}
	return len(p.extra) == 0 || !p.ordered
}

// firstUnhealthy is the lowest pod that does not serve.
func (p *planner) firstUnhealthy() *v1.Pod {
	for _, pod := range p.slots {
		if pod != nil && !p.available(pod) {
			return pod
		}
	}
	for i := len(p.extra) - 1; i >= 0; i-- {
		if !p.available(p.extra[i]) {
			return p.extra[i]
		}
	}
	return nil
}

// update deletes pods of other revisions from the highest ordinal down to the partition, so that they come back with the new
// one. By default it waits for each before it takes the next; with maxUnavailable that many may be down at once.
func (p *planner) update() {
	if p.Set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return
	}
	limit := p.maxUnavailable()
	down := 0
	if limit > 1 {
		for _, pod := range p.slots {
			if !p.available(pod) {
				down++
			}
		}
	}
	for i := len(p.slots) - 1; i >= p.partition() && i >= 0; i-- {
		pod := p.slots[i]
		switch {
		case pod == nil:
		case revisionOf(pod) != p.Update.Name && pod.DeletionTimestamp == nil:
			if limit == 1 {
				p.delete(pod)
				return
			}
			if serves := p.available(pod); !serves {
				p.delete(pod)
			} else if down < limit {
				p.delete(pod)
				down++
			}
		case limit == 1 && !p.available(pod):
			return
		}
	}
}

func (p *planner) delete(pod *v1.Pod) {
	p.plan.Delete = append(p.plan.Delete, pod)
	if revisionOf(pod) == p.Current.Name && p.plan.Status.CurrentReplicas > 0 {
		p.plan.Status.CurrentReplicas--
	}
}

func (p *planner) maxUnavailable() int {
	r := p.Set.Spec.UpdateStrategy.RollingUpdate
	if r == nil || r.MaxUnavailable == nil {
		return 1
	}
	n, err := intstrutil.GetScaledValueFromIntOrPercent(r.MaxUnavailable, wanted(p.Set), true)
	if err != nil {
		return 1
	}
	return max(1, n)
}
