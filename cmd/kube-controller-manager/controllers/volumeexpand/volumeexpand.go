// Package volumeexpand says on claims that ask for more room than they have who is waited for: volumes are expanded by the resizers of
// their drivers, which keep the conditions Resizing and FileSystemResizePending, and by the kubelet.
package volumeexpand

import (
	"context"

	v1 "k8s.io/api/core/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/record"

	"pilotis.dev/pkg/reconcile"
)

// New makes the controller; its keys are claims that just grew.
func New(claims coreinformers.PersistentVolumeClaimInformer, volumes coreinformers.PersistentVolumeInformer, recorder record.EventRecorder) *reconcile.Controller {
	// told is the size that was last told, by claim; one worker keeps it.
	told := map[reconcile.Key]string{}
	c := reconcile.New("volume_expand", reconcile.Func(func(_ context.Context, key reconcile.Key) (reconcile.Result, error) {
		claim, err := claims.Lister().PersistentVolumeClaims(key.Namespace).Get(key.Name)
		if err != nil || !Waits(claim) {
			delete(told, key)
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		if _, err := volumes.Lister().Get(claim.Spec.VolumeName); err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err) // its binder tells of the loss
		}
		size := claim.Spec.Resources.Requests[v1.ResourceStorage]
		if told[key] != size.String() {
			told[key] = size.String()
			recorder.Event(claim, v1.EventTypeNormal, "ExternalExpanding", "waiting for an external controller to expand this PVC")
		}
		return reconcile.Result{}, nil
	}), reconcile.Options{})
	c.Watch(claims.Informer(), func(obj any) []reconcile.Key {
		if claim, ok := obj.(*v1.PersistentVolumeClaim); ok && claim.Status.Phase == v1.ClaimBound {
			return []reconcile.Key{reconcile.KeyOf(claim)}
		}
		return nil
	})
	c.Watch(volumes.Informer(), nil)
	return c
}

// Waits tells whether a bound claim asks for more than its volume has.
func Waits(claim *v1.PersistentVolumeClaim) bool {
	wants, has := claim.Spec.Resources.Requests[v1.ResourceStorage], claim.Status.Capacity[v1.ResourceStorage]
	return claim.Status.Phase == v1.ClaimBound && claim.Spec.VolumeName != "" && !has.IsZero() && wants.Cmp(has) > 0
}
