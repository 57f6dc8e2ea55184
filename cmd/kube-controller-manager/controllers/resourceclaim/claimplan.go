package resourceclaim

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ClaimPlan is what a claim needs; the zero value is nothing.
type ClaimPlan struct {
	// Status replaces the claim's: reservations of pods that are gone or done are taken back, and with the last the allocation.
	Status *resourcev1.ResourceClaimStatus
	// Release takes the finalizer away: nothing is allocated any more.
	Release bool
	// Delete removes the claim: it was made for a pod that is done.
	Delete bool
}

// PlanClaim decides about a claim. uses tells whether a pod, by name and UID, exists and is not done; ended, whether the pod that owns the
// claim is done.
func PlanClaim(claim *resourcev1.ResourceClaim, uses func(name string, uid types.UID) bool, ended func(owner *metav1.OwnerReference) bool) ClaimPlan {
	var plan ClaimPlan
	status := claim.Status.DeepCopy()
	status.ReservedFor = slices.DeleteFunc(status.ReservedFor, func(r resourcev1.ResourceClaimConsumerReference) bool {
		return r.APIGroup == "" && r.Resource == "pods" && !uses(r.Name, r.UID)
	})
	guarded := slices.Contains(claim.Finalizers, resourcev1.Finalizer)
	lost := len(status.ReservedFor) < len(claim.Status.ReservedFor)
	// A claim that nobody uses yet keeps its finalizer: the scheduler puts it there before it allocates.
	if len(status.ReservedFor) == 0 && guarded && (lost || claim.DeletionTimestamp != nil) {
		status.Allocation = nil
		plan.Release = true
	}
	if lost || status.Allocation == nil && claim.Status.Allocation != nil {
		plan.Status = status
	}
	if owner := metav1.GetControllerOf(claim); len(status.ReservedFor) == 0 && claim.DeletionTimestamp == nil && owner != nil && owner.Kind == "Pod" && owner.APIVersion == "v1" {
		plan.Delete = ended(owner)
	}
	return plan
}

// reserved is the claim's status with the pod among its users.
func reserved(claim *resourcev1.ResourceClaim, pod *v1.Pod) resourcev1.ResourceClaimStatus {
	status := *claim.Status.DeepCopy()
	status.ReservedFor = append(status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: pod.Name, UID: pod.UID})
	return status
}
