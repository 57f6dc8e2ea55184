package volumebinder

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/reconcile"
)

// applyClaim does what the plan says.
func (c *Controller) applyClaim(ctx context.Context, claim *v1.PersistentVolumeClaim, plan ClaimPlan) error {
	if plan.Event != nil {
		c.recorder.Event(claim, plan.Event.Type, plan.Event.Reason, plan.Event.Message)
	}
	switch {
	case plan.Bind != nil:
		err := c.bind(ctx, claim, plan.Bind)
		if err != nil {
			c.catalog.settled(plan.Bind.Name)
		}
		return err
	case plan.Class != nil:
		update := claim.DeepCopy()
		update.Spec.StorageClassName = plan.Class
		_, err := c.updateClaim(ctx, update)
		return err
	}
	if plan.Provisioner != "" && claim.Annotations[volume.AnnStorageProvisioner] != plan.Provisioner {
		update := claim.DeepCopy()
		metav1.SetMetaDataAnnotation(&update.ObjectMeta, volume.AnnStorageProvisioner, plan.Provisioner)
		metav1.SetMetaDataAnnotation(&update.ObjectMeta, volume.AnnBetaStorageProvisioner, plan.Provisioner)
		var err error
		if claim, err = c.updateClaim(ctx, update); err != nil {
			return err
		}
	}
	if plan.Phase == "" {
		return nil
	}
	return c.updateClaimStatus(ctx, claim, v1.PersistentVolumeClaimStatus{Phase: plan.Phase, Conditions: claim.Status.Conditions})
}

// bind writes the two references and the two phases, each where it is missing.
func (c *Controller) bind(ctx context.Context, claim *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) error {
	update, changed, err := volume.GetBindVolumeToClaim(pv, claim)
	if err != nil {
		return err
	}
	if changed {
		if pv, err = c.updateVolume(ctx, update); err != nil {
			return fmt.Errorf("volume %s for claim %s/%s: %w", update.Name, claim.Namespace, claim.Name, err)
		}
	}
	if err := c.updatePhase(ctx, pv, v1.VolumeBound, ""); err != nil {
		return err
	}
	bound := claim.DeepCopy()
	if bound.Spec.VolumeName != pv.Name {
		bound.Spec.VolumeName = pv.Name
		metav1.SetMetaDataAnnotation(&bound.ObjectMeta, volume.AnnBoundByController, "yes")
	}
	if !metav1.HasAnnotation(bound.ObjectMeta, volume.AnnBindCompleted) {
		metav1.SetMetaDataAnnotation(&bound.ObjectMeta, volume.AnnBindCompleted, "yes")
	}
	if !equality.Semantic.DeepEqual(claim.Spec, bound.Spec) || !equality.Semantic.DeepEqual(claim.Annotations, bound.Annotations) {
		if bound, err = c.updateClaim(ctx, bound); err != nil {
			return err
		}
		klog.FromContext(ctx).V(2).Info("Bound", "claim", klog.KObj(claim), "volume", pv.Name)
	}
	return c.updateClaimStatus(ctx, bound, boundStatus(bound, pv))
}

// boundStatus is a bound claim's status. The size is the volume's at the moment of binding: later the two differ while the claim is
// being expanded.
func boundStatus(claim *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) v1.PersistentVolumeClaimStatus {
	status := *claim.Status.DeepCopy()
	if status.Phase != v1.ClaimBound {
		status.Phase = v1.ClaimBound
		status.Capacity = v1.ResourceList{v1.ResourceStorage: pv.Spec.Capacity[v1.ResourceStorage]}
		status.CurrentVolumeAttributesClassName = pv.Spec.VolumeAttributesClassName
	}
	if !slices.Equal(status.AccessModes, pv.Spec.AccessModes) {
		status.AccessModes = slices.Clone(pv.Spec.AccessModes)
	}
	return status
}

// applyVolume does what the plan says.
func (c *Controller) applyVolume(ctx context.Context, pv *v1.PersistentVolume, claim *v1.PersistentVolumeClaim, plan VolumePlan) (reconcile.Result, error) {
	if plan.Event != nil {
		c.recorder.Event(pv, plan.Event.Type, plan.Event.Reason, plan.Event.Message)
	}
	if plan.ClaimEvent != nil {
		c.recorder.Event(claim, plan.ClaimEvent.Type, plan.ClaimEvent.Reason, plan.ClaimEvent.Message)
	}
	if plan.NudgeClaim {
		c.Enqueue(reconcile.KeyOf(claim))
	}
	var err error
	if plan.Unbind {
		if pv, err = c.updateVolume(ctx, unbound(pv)); err != nil {
			return reconcile.Result{}, err
		}
	}
	if plan.Phase != "" {
		if err = c.updatePhase(ctx, pv, plan.Phase, ""); err != nil {
			return reconcile.Result{}, err
		}
	}
	if !plan.Reclaim {
		return reconcile.Result{}, nil
	}
	if plan.Phase != pv.Status.Phase && plan.Phase != "" {
		return reconcile.Result{}, nil // once the release is seen; external provisioners act on it too
	}
	return c.reclaim(ctx, pv)
}

func (c *Controller) reclaim(ctx context.Context, pv *v1.PersistentVolume) (reconcile.Result, error) {
	plan := PlanReclaim(pv)
	if plan.Remove {
		// An administrator may have given the volume free a moment ago: ask past the cache before deleting.
		fresh, err := c.client.CoreV1().PersistentVolumes().Get(ctx, pv.Name, metav1.GetOptions{})
		if err != nil || fresh.ResourceVersion != pv.ResourceVersion {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err) // the change is on its way to the cache
		}
	}
	if plan.Path != "" {
		if err := c.options.RemoveAll(plan.Path); err != nil {
			plan = Reclaim{Failure: warning("VolumeFailedDelete", "%v", err)}
		}
	}
	if plan.Failure != nil {
		if pv.Status.Phase != v1.VolumeFailed || pv.Status.Message != plan.Failure.Message {
			c.recorder.Event(pv, plan.Failure.Type, plan.Failure.Reason, plan.Failure.Message)
		}
		return reconcile.Result{RequeueAfter: c.options.Period}, c.updatePhase(ctx, pv, v1.VolumeFailed, plan.Failure.Message)
	}
	if !plan.Remove {
		return reconcile.Result{}, nil
	}
	err := c.client.CoreV1().PersistentVolumes().Delete(ctx, pv.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pv.UID, ResourceVersion: &pv.ResourceVersion}})
	if err == nil {
		c.Deleted(c.volInf, reconcile.KeyOf(pv), pv)
	}
	return reconcile.Result{}, reconcile.IgnoreNotFound(err)
}

func (c *Controller) updateVolume(ctx context.Context, pv *v1.PersistentVolume) (*v1.PersistentVolume, error) {
	written, err := c.client.CoreV1().PersistentVolumes().Update(ctx, pv, metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	c.wroteVolume(written)
	return written, nil
}

// wroteVolume holds the volume, and its claim, until the cache shows the write.
func (c *Controller) wroteVolume(pv *v1.PersistentVolume) {
	c.Wrote(c.volInf, reconcile.KeyOf(pv), pv)
	if pv.Spec.ClaimRef != nil {
		c.Wrote(c.volInf, claimOf(pv), pv)
	}
}

func (c *Controller) updatePhase(ctx context.Context, pv *v1.PersistentVolume, phase v1.PersistentVolumePhase, message string) error {
	if pv.Status.Phase == phase && pv.Status.Message == message {
		return nil
	}
	update := pv.DeepCopy()
	if update.Status.Phase != phase {
		now := metav1.NewTime(c.options.Clock.Now())
		update.Status.LastPhaseTransitionTime = &now
	}
	update.Status.Phase, update.Status.Message, update.Status.Reason = phase, message, ""
	written, err := c.client.CoreV1().PersistentVolumes().UpdateStatus(ctx, update, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	c.wroteVolume(written)
	return nil
}

func (c *Controller) updateClaim(ctx context.Context, claim *v1.PersistentVolumeClaim) (*v1.PersistentVolumeClaim, error) {
	written, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, claim, metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	c.wroteClaim(written)
	return written, nil
}

// wroteClaim holds the claim, and its volume, until the cache shows the write.
func (c *Controller) wroteClaim(claim *v1.PersistentVolumeClaim) {
	c.Wrote(c.claimInf, reconcile.KeyOf(claim), claim)
	if claim.Spec.VolumeName != "" {
		c.Wrote(c.claimInf, reconcile.Key{Name: claim.Spec.VolumeName}, claim)
	}
}

func (c *Controller) updateClaimStatus(ctx context.Context, claim *v1.PersistentVolumeClaim, status v1.PersistentVolumeClaimStatus) error {
	if equality.Semantic.DeepEqual(claim.Status, status) {
		return nil
	}
	update := claim.DeepCopy()
	update.Status = status
	written, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, update, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	c.wroteClaim(written)
	return nil
}
