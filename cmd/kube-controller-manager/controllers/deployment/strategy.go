package deployment

import (
	"cmp"
	"math"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
)

// roll moves one step: scale the new set up as far as maxSurge allows, or else scale old sets down as far as maxUnavailable does.
func (r *rollout) roll() {
	r.adoptRevision(true)
	if r.plan.Create != nil {
		return
	}
	if r.scale(r.new, r.newSize()) {
		return
	}
	if r.shrinkOld() {
		return
	}
	if r.complete(r.d.Status) {
		r.cleanUp()
	}
}

// newSize is the number of replicas the new set may have now.
func (r *rollout) newSize() int32 {
	have := size(r.new)
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || have >= r.wanted() {
		return r.wanted()
	}
	room := r.wanted() + r.maxSurge() - total(r.all(), size)
	return have + max(0, min(room, r.wanted()-have))
}

// shrinkOld scales old sets down: first replicas that are not available and whose loss costs nothing, then as many available
// ones as the new set has made up for.
func (r *rollout) shrinkOld() bool {
	minAvailable := r.wanted() - r.maxUnavailable()
	newUnavailable := size(r.new) - serving(r.new)
	spare := total(r.all(), size) - minAvailable - newUnavailable
	if total(r.old, size) == 0 || spare <= 0 {
		return false
	}
	shrunk := false
	for _, rs := range slices.Clone(r.old) {
		sick := size(rs) - serving(rs)
		if cut := min(spare, sick); spare > 0 && cut > 0 && size(rs) > 0 {
			spare -= cut
			shrunk = r.scale(rs, size(rs)-cut) || shrunk
		}
	}
	surplus := total(r.all(), serving) - minAvailable
	for _, rs := range slices.Clone(r.old) {
		if cut := min(surplus, size(rs)); surplus > 0 && cut > 0 {
			surplus -= cut
			shrunk = r.scale(rs, size(rs)-cut) || shrunk
		}
	}
	return shrunk
}

// recreate stops all old pods before the first new one starts.
func (r *rollout) recreate() {
	r.adoptRevision(false)
	shrunk := false
	for _, rs := range active(r.old) {
		shrunk = r.scale(rs, 0) || shrunk
	}
	if shrunk || r.oldPodsRunning() {
		return
	}
	if r.new == nil {
		r.adoptRevision(true)
		return
	}
	if r.scale(r.new, r.wanted()) {
		return
	}
	if r.complete(r.d.Status) {
		r.cleanUp()
	}
}

// resized tells whether spec.replicas changed since the active sets were scaled.
func (r *rollout) resized() bool {
	for _, rs := range active(r.all()) {
		if before, ok := numberIn(rs, DesiredReplicasAnnotation); ok && before != r.wanted() {
			return true
		}
	}
	return false
}

// resize brings the number of replicas to spec.replicas without rolling: a Deployment with one active set scales that one; in
// the middle of a rollout the change is spread over the active sets in proportion to their sizes, so that a scaled rollout
// keeps its mixture of versions.
func (r *rollout) resize() {
	activeSets := active(r.all())
	var only *appsv1.ReplicaSet
	switch {
	case len(activeSets) == 1:
		only = activeSets[0]
	case len(activeSets) > 1:
	case r.new != nil:
		only = r.new
	case len(r.old) > 0:
		only = r.old[len(r.old)-1]
	default:
		return
	}
	if only != nil {
		r.scale(only, r.wanted()) // a set whose size fits already still has to learn what its size is a share of
		return
	}
	if r.saturated() {
		for _, rs := range active(r.old) {
			r.scale(rs, 0)
		}
		return
	}
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return
	}
	r.spread(activeSets)
}

// saturated tells whether the new set alone serves the whole Deployment.
func (r *rollout) saturated() bool {
	if r.new == nil {
		return false
	}
	desired, ok := numberIn(r.new, DesiredReplicasAnnotation)
	return ok && size(r.new) == r.wanted() && desired == r.wanted() && r.new.Status.AvailableReplicas == r.wanted()
}

func (r *rollout) spread(sets []*appsv1.ReplicaSet) {
	var allowed int32
	if r.wanted() > 0 {
		allowed = r.wanted() + r.maxSurge()
	}
	missing := allowed - total(sets, size)
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		age := oldestFirst(a, b)
		if missing > 0 {
			age = -age // growth goes to the newer of equals, a cut to the older
		}
		return cmp.Or(cmp.Compare(size(b), size(a)), age)
	})
	sizes := make([]int32, len(sets))
	var added int32
	for i, rs := range sets {
		share := r.share(rs, missing, added)
		sizes[i] = size(rs) + share
		added += share
	}
	sizes[0] = max(0, sizes[0]+missing-added) // what rounding left over goes to the largest
	for i, rs := range sets {
		r.scale(rs, sizes[i])
	}
}

// share is how much of missing rs gets, after others got added.
func (r *rollout) share(rs *appsv1.ReplicaSet, missing, added int32) int32 {
	if size(rs) == 0 || missing == 0 || missing == added {
		return 0
	}
	left := missing - added
	if missing > 0 {
		return min(r.growth(rs), left)
	}
	return max(r.growth(rs), left)
}

// growth is the change of rs that keeps its share of the Deployment.
func (r *rollout) growth(rs *appsv1.ReplicaSet) int32 {
	if r.wanted() == 0 {
		return -size(rs)
	}
	before, ok := numberIn(rs, MaxReplicasAnnotation)
	if !ok || before == 0 {
		before = r.d.Status.Replicas
	}
	if before == 0 {
		return 0
	}
	after := float64(size(rs)) * float64(r.wanted()+r.maxSurge()) / float64(before)
	return int32(math.Round(after)) - size(rs)
}
