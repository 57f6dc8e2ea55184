// Package deployment rolls the pods of each Deployment from one template to the next, through ReplicaSets.
package deployment

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	intstrutil "k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// Input is all that a decision depends on.
type Input struct {
	Deployment *appsv1.Deployment
	// Sets are the ReplicaSets that the Deployment controls.
	Sets []*appsv1.ReplicaSet
	// Pods by UID of their ReplicaSet; only read for the strategy Recreate.
	Pods map[types.UID][]*v1.Pod
	Now  time.Time
}

// Update is a ReplicaSet with a new size or new annotations.
type Update struct {
	Set      *appsv1.ReplicaSet // as it is to be written
	From, To int32              // equal when only metadata changes
}

// Plan is one step of a Deployment towards its goal.
type Plan struct {
	Create *appsv1.ReplicaSet
	Update []Update
	Delete []*appsv1.ReplicaSet
	// Revision is what the Deployment's revision annotation should be; empty leaves it alone.
	Revision string
	Status   appsv1.DeploymentStatus
	// Wake is when the progress deadline has to be looked at again; zero: not.
	Wake time.Duration
}

// String prints the plan without the status.
func (p Plan) String() string {
	var b strings.Builder
	if p.Create != nil {
		fmt.Fprintf(&b, "create %s replicas=%d\n", p.Create.Name, ptr.Deref(p.Create.Spec.Replicas, 1))
	}
	for _, u := range p.Update {
		if u.From == u.To {
			fmt.Fprintf(&b, "annotate %s\n", u.Set.Name)
			continue
		}
		fmt.Fprintf(&b, "scale %s %d -> %d\n", u.Set.Name, u.From, u.To)
	}
	for _, rs := range p.Delete {
		fmt.Fprintf(&b, "delete %s\n", rs.Name)
	}
	if p.Revision != "" {
		fmt.Fprintf(&b, "revision %s\n", p.Revision)
	}
	return b.String()
}

// rollout is the state while a plan is made: the Deployment, its sets with the planned changes applied, and the plan so far.
type rollout struct {
	Input
	d       *appsv1.Deployment
	new     *appsv1.ReplicaSet   // the set of the present template, or nil
	old     []*appsv1.ReplicaSet // all others, oldest first
	updated map[types.UID]*Update
	order   []types.UID
	plan    Plan
	status  appsv1.DeploymentStatus // with the conditions set on the way
}

// Decide makes the plan.
func Decide(in Input) Plan {
	r := &rollout{Input: in, d: in.Deployment, updated: map[types.UID]*Update{}}
	in.Deployment.Status.DeepCopyInto(&r.status)
	r.split()
	switch {
	case r.d.DeletionTimestamp != nil:
		r.finish(false)
	case r.d.Spec.Paused, r.resized():
		r.pauseConditions()
		r.adoptRevision(false)
		r.resize()
		if r.d.Spec.Paused {
			r.cleanUp()
		}
		r.finish(false)
	case r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		r.pauseConditions()
		r.recreate()
		r.finish(true)
	default:
		r.pauseConditions()
		r.roll()
		r.finish(true)
	}
	return r.plan
}

// split finds the set of the present template; of several equal ones the oldest counts.
func (r *rollout) split() {
	sets := slices.Clone(r.Sets)
	slices.SortFunc(sets, oldestFirst)
	for _, rs := range sets {
		if r.new == nil && sameTemplate(&rs.Spec.Template, &r.d.Spec.Template) {
			r.new = rs
			continue
		}
		r.old = append(r.old, rs)
	}
}

func oldestFirst(a, b *appsv1.ReplicaSet) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// all returns the present set, if there is one, and the old ones.
func (r *rollout) all() []*appsv1.ReplicaSet {
	if r.new == nil {
		return r.old
	}
	return append(slices.Clone(r.old), r.new)
}

// finish computes the status and turns the changed sets into updates.
func (r *rollout) finish(rolling bool) {
	r.computeStatus(rolling)
	for _, uid := range r.order {
		r.plan.Update = append(r.plan.Update, *r.updated[uid])
	}
}

// edit returns a copy of rs that the plan updates, and puts it in rs's place.
func (r *rollout) edit(rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	if u, there := r.updated[rs.UID]; there {
		return u.Set
	}
	fresh := rs.DeepCopy()
	r.updated[rs.UID] = &Update{Set: fresh, From: size(rs), To: size(rs)}
	r.order = append(r.order, rs.UID)
	if r.new != nil && r.new.UID == rs.UID {
		r.new = fresh
	}
	for i := range r.old {
		if r.old[i].UID == rs.UID {
			r.old[i] = fresh
		}
	}
	return fresh
}

// scale sets the size of rs, and the annotations by which proportional scaling later knows what the size was a share of.
func (r *rollout) scale(rs *appsv1.ReplicaSet, to int32) (changed bool) {
	want, most := r.wanted(), r.wanted()+r.maxSurge()
	if size(rs) == to && hasReplicaAnnotations(rs, want, most) {
		return false
	}
	changed = size(rs) != to
	fresh := r.edit(rs)
	setReplicaAnnotations(fresh, want, most)
	fresh.Spec.Replicas = ptr.To(to)
	r.updated[fresh.UID].To = to
	return changed
}

func (r *rollout) wanted() int32 { return ptr.Deref(r.d.Spec.Replicas, 1) }

func size(rs *appsv1.ReplicaSet) int32 { return ptr.Deref(rs.Spec.Replicas, 1) }

func total(sets []*appsv1.ReplicaSet, of func(*appsv1.ReplicaSet) int32) int32 {
	var n int32
	for _, rs := range sets {
		n += of(rs)
	}
	return n
}

func available(rs *appsv1.ReplicaSet) int32 { return rs.Status.AvailableReplicas }

// serving is the number of available pods that rs will keep: its status may be older than its last scaling down.
func serving(rs *appsv1.ReplicaSet) int32 { return min(size(rs), rs.Status.AvailableReplicas) }

// active returns the sets that want pods.
func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	var some []*appsv1.ReplicaSet
	for _, rs := range sets {
		if size(rs) > 0 {
			some = append(some, rs)
		}
	}
	return some
}

// limits resolves maxSurge (rounded up) and maxUnavailable (rounded down); they are never both zero, or nothing could move.
func (r *rollout) limits() (surge, unavailable int32) {
	rolling := r.d.Spec.Strategy.RollingUpdate
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || rolling == nil {
		return 0, 0
	}
	quarter := intstrutil.FromString("25%")
	s, err := intstrutil.GetScaledValueFromIntOrPercent(ptr.To(ptr.Deref(rolling.MaxSurge, quarter)), int(r.wanted()), true)
	if err != nil {
		s = 0
	}
	u, err := intstrutil.GetScaledValueFromIntOrPercent(ptr.To(ptr.Deref(rolling.MaxUnavailable, quarter)), int(r.wanted()), false)
	if err != nil {
		u = 0
	}
	if s == 0 && u == 0 {
		u = 1
	}
	return int32(min(s, math.MaxInt32)), int32(min(u, math.MaxInt32))
}

func (r *rollout) maxSurge() int32 {
	surge, _ := r.limits()
	return surge
}

// maxUnavailable is never more than the number of replicas.
func (r *rollout) maxUnavailable() int32 {
	_, unavailable := r.limits()
	return min(unavailable, r.wanted())
}

// sameTemplate compares templates apart from the label that a ReplicaSet adds.
func sameTemplate(a, b *v1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return semanticEqual(a, b)
}

// oldPodsRunning tells whether a pod of another template may still run.
func (r *rollout) oldPodsRunning() bool {
	for uid, list := range r.Pods {
		if r.new != nil && r.new.UID == uid {
			continue
		}
		if slices.ContainsFunc(list, func(p *v1.Pod) bool { return !pods.Finished(p) }) {
			return true
		}
	}
	return false
}
