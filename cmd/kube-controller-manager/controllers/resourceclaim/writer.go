package resourceclaim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/pkg/reconcile"
)

// uses tells whether a pod exists and is not done. A reservation is taken back only when the server itself has no such pod: the cache
// may lag behind the scheduler.
func (c *Controller) uses(ctx context.Context, namespace, name string, uid types.UID) (bool, error) {
	pod, err := c.pods.Pods(namespace).Get(name)
	if err == nil && pod.UID == uid {
		return !done(pod), nil
	}
	pod, err = c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("pod %s that a claim is reserved for: %w", name, err)
	}
	return pod.UID == uid && !done(pod), nil
}

// ownerDone tells whether the pod that owns a claim is done; the garbage collector follows one that is gone.
func (c *Controller) ownerDone(namespace string, owner *metav1.OwnerReference) bool {
	pod, err := c.pods.Pods(namespace).Get(owner.Name)
	return err == nil && pod.UID == owner.UID && done(pod)
}

// applyPod creates claims, and names all of them in the pod's status with one write.
func (c *Controller) applyPod(ctx context.Context, key reconcile.Key, pod *v1.Pod, plan PodPlan) error {
	var names []v1.PodResourceClaimStatus
	for _, want := range plan.Wants {
		claim := want.Claim
		if claim.Name == "" {
			made, err := c.client.ResourceV1().ResourceClaims(pod.Namespace).Create(ctx, claim, metav1.CreateOptions{})
			if err != nil {
				c.podLoop.Unsure(err, c.claimInf, key, func(ctx context.Context) (runtime.Object, error) {
					return c.client.ResourceV1().ResourceClaims(pod.Namespace).List(ctx, metav1.ListOptions{})
				})
				c.recorder.Eventf(pod, v1.EventTypeWarning, "FailedResourceClaimCreation", "PodResourceClaim %s: %v", want.Entry, err)
				return fmt.Errorf("claim for %s: %w", want.Entry, err)
			}
			c.podLoop.Wrote(c.claimInf, key, made)
			claim = made
		}
		names = append(names, v1.PodResourceClaimStatus{Name: want.Entry, ResourceClaimName: &claim.Name})
	}
	if len(names) > 0 {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": map[string]any{"resourceClaimStatuses": merged(pod, names)}})
		if err != nil {
			return err
		}
		written, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			return reconcile.IgnoreNotFound(err)
		}
		c.podLoop.Wrote(c.podInf, key, written)
	}
	for _, claim := range plan.Reserve {
		update := claim.DeepCopy()
		update.Status = reserved(claim, pod)
		written, err := c.client.ResourceV1().ResourceClaims(claim.Namespace).UpdateStatus(ctx, update, metav1.UpdateOptions{})
		if err != nil {
			return fmt.Errorf("reserving claim %s: %w", claim.Name, err)
		}
		c.podLoop.Wrote(c.claimInf, key, written)
	}
	return nil
}

// merged are the names that the pod's status has, with the new ones.
func merged(pod *v1.Pod, names []v1.PodResourceClaimStatus) []v1.PodResourceClaimStatus {
	for _, have := range pod.Status.ResourceClaimStatuses {
		if !slices.ContainsFunc(names, func(n v1.PodResourceClaimStatus) bool { return n.Name == have.Name }) {
			names = append(names, have)
		}
	}
	return names
}

func (c *Controller) applyClaim(ctx context.Context, key reconcile.Key, claim *resourcev1.ResourceClaim, plan ClaimPlan) error {
	api, written := c.client.ResourceV1().ResourceClaims(claim.Namespace), claim
	var err error
	if plan.Status != nil {
		update := claim.DeepCopy()
		update.Status = *plan.Status
		if written, err = api.UpdateStatus(ctx, update, metav1.UpdateOptions{}); err != nil {
			return reconcile.IgnoreNotFound(err)
		}
		c.claimLoop.Wrote(c.claimInf, key, written)
	}
	if plan.Release {
		update := written.DeepCopy()
		update.Finalizers = slices.DeleteFunc(update.Finalizers, func(f string) bool { return f == resourcev1.Finalizer })
		if written, err = api.Update(ctx, update, metav1.UpdateOptions{}); err != nil {
			return reconcile.IgnoreNotFound(err)
		}
		if claim.DeletionTimestamp == nil {
			c.claimLoop.Wrote(c.claimInf, key, written)
		}
	}
	if plan.Delete {
		err := api.Delete(ctx, claim.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(claim.UID))})
		if err != nil {
			return reconcile.IgnoreNotFound(err)
		}
		c.claimLoop.Deleted(c.claimInf, key, claim)
	}
	return nil
}
