package volumebinder

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

// VolumePlan is what a volume needs; the zero value is nothing.
type VolumePlan struct {
	// Phase of the volume; empty leaves it.
	Phase v1.PersistentVolumePhase
	// Unbind takes the reference to the claim back: the claim was bound elsewhere.
	Unbind bool
	// Reclaim does what the reclaim policy says: the claim is gone.
	Reclaim bool
	// NudgeClaim looks at the claim again, which is to complete the binding.
	NudgeClaim bool
	// Event is told on the volume, ClaimEvent on the claim.
	Event, ClaimEvent *Event
}

// String says the plan in a line.
func (p VolumePlan) String() string {
	var parts []string
	if p.Phase != "" {
		parts = append(parts, "be "+string(p.Phase))
	}
	if p.Unbind {
		parts = append(parts, "unbind")
	}
	if p.Reclaim {
		parts = append(parts, "reclaim")
	}
	if p.NudgeClaim {
		parts = append(parts, "look at the claim")
	}
	if p.Event != nil {
		parts = append(parts, p.Event.Reason+": "+p.Event.Message)
	}
	return strings.Join(parts, "; ")
}

// PlanVolume decides about a volume. claim is the one that its claimRef names; nil, or one with another UID, means that the claim the
// volume was bound to is gone.
func PlanVolume(pv *v1.PersistentVolume, claim *v1.PersistentVolumeClaim) VolumePlan {
	ref := pv.Spec.ClaimRef
	switch {
	case ref == nil:
		return VolumePlan{Phase: v1.VolumeAvailable}
	case ref.UID == "":
		return VolumePlan{Phase: v1.VolumeAvailable, NudgeClaim: claim != nil}
	case claim == nil || claim.UID != ref.UID:
		return release(pv)
	case claim.Spec.VolumeName == pv.Name:
		return VolumePlan{Phase: v1.VolumeBound}
	case claim.Spec.VolumeName != "":
		if metav1.HasAnnotation(pv.ObjectMeta, volume.AnnDynamicallyProvisioned) && pv.Spec.PersistentVolumeReclaimPolicy == v1.PersistentVolumeReclaimDelete {
			return release(pv) // made for the claim, which found another
		}
		return VolumePlan{Phase: v1.VolumeAvailable, Unbind: true}
	case volume.CheckVolumeModeMismatches(&claim.Spec, &pv.Spec):
		return VolumePlan{
			Event:      warning("VolumeMismatch", "Cannot bind PersistentVolume to requested PersistentVolumeClaim %q due to incompatible volumeMode.", claim.Name),
			ClaimEvent: warning("VolumeMismatch", "Cannot bind PersistentVolume %q to requested PersistentVolumeClaim due to incompatible volumeMode.", pv.Name),
		}
	}
	return VolumePlan{NudgeClaim: true}
}

// release keeps the phase Failed: the user is to see that reclaiming did not work, while it is tried again.
func release(pv *v1.PersistentVolume) VolumePlan {
	plan := VolumePlan{Reclaim: true}
	if pv.Status.Phase != v1.VolumeFailed {
		plan.Phase = v1.VolumeReleased
	}
	return plan
}

// unbound is pv without its claim. A reference that the user made stays, only the UID goes.
func unbound(pv *v1.PersistentVolume) *v1.PersistentVolume {
	free := pv.DeepCopy()
	if !metav1.HasAnnotation(pv.ObjectMeta, volume.AnnBoundByController) {
		free.Spec.ClaimRef.UID = ""
		free.Spec.ClaimRef.ResourceVersion = ""
		return free
	}
	free.Spec.ClaimRef = nil
	delete(free.Annotations, volume.AnnBoundByController)
	return free
}
