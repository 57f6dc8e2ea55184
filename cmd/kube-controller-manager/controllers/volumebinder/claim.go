package volumebinder

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
)

// View is what the planners look at; the controller answers from its caches.
type View interface {
	// Volume and Class return nil for what does not exist.
	Volume(name string) *v1.PersistentVolume
	Class(name string) *storagev1.StorageClass
	// Match is the volume that suits the claim best, nil if none does. With delayed only one that is reserved for it counts.
	Match(claim *v1.PersistentVolumeClaim, delayed bool) (*v1.PersistentVolume, error)
	// DefaultClass is the class of claims that name none; nil without one.
	DefaultClass() *storagev1.StorageClass
	// Waiting are the names of pods that use the claim and have no node.
	Waiting(claim *v1.PersistentVolumeClaim) []string
}

// Event is told to the user on the planned object.
type Event struct{ Type, Reason, Message string }

func normal(reason, format string, args ...any) *Event {
	return &Event{v1.EventTypeNormal, reason, fmt.Sprintf(format, args...)}
}

func warning(reason, format string, args ...any) *Event {
	return &Event{v1.EventTypeWarning, reason, fmt.Sprintf(format, args...)}
}

// ClaimPlan is what a claim needs; the zero value is nothing.
type ClaimPlan struct {
	// Bind is the volume to complete the binding with.
	Bind *v1.PersistentVolume
	// Class is the default class that the claim is to have from now on.
	Class *string
	// Provisioner is asked to make a volume.
	Provisioner string
	// Phase the claim is in, without a volume.
	Phase v1.PersistentVolumeClaimPhase
	Event *Event
}

// String says the plan in a line.
func (p ClaimPlan) String() string {
	var parts []string
	switch {
	case p.Bind != nil:
		parts = append(parts, "bind to "+p.Bind.Name)
	case p.Class != nil:
		parts = append(parts, "take class "+*p.Class)
	case p.Provisioner != "":
		parts = append(parts, "ask "+p.Provisioner)
	case p.Phase != "":
		parts = append(parts, "be "+string(p.Phase))
	}
	if p.Event != nil {
		parts = append(parts, p.Event.Reason+": "+p.Event.Message)
	}
	return strings.Join(parts, "; ")
}

// PlanClaim decides about a claim. provisioning tells whether volumes may be asked for.
func PlanClaim(claim *v1.PersistentVolumeClaim, view View, provisioning bool) (ClaimPlan, error) {
	if metav1.HasAnnotation(claim.ObjectMeta, volume.AnnBindCompleted) {
		return planBound(claim, view), nil
	}
	if claim.DeletionTimestamp != nil {
		return ClaimPlan{}, nil // a volume would only be lost with it
	}
	if claim.Spec.VolumeName != "" {
		return planReserved(claim, view)
	}
	class := view.Class(volume.GetPersistentVolumeClaimClass(claim))
	delayed := class != nil && ptr.Deref(class.VolumeBindingMode, storagev1.VolumeBindingImmediate) == storagev1.VolumeBindingWaitForFirstConsumer
	pv, err := view.Match(claim, delayed)
	if err != nil {
		return ClaimPlan{}, err
	}
	if pv != nil {
		return ClaimPlan{Bind: pv}, nil
	}
	if !volume.PersistentVolumeClaimHasClass(claim) {
		if fallback := view.DefaultClass(); fallback != nil {
			return ClaimPlan{Class: &fallback.Name}, nil
		}
	}
	switch {
	case delayed && !volume.IsDelayBindingProvisioning(claim):
		return ClaimPlan{Phase: v1.ClaimPending, Event: waits(view.Waiting(claim))}, nil
	case volume.GetPersistentVolumeClaimClass(claim) == "":
		return ClaimPlan{Phase: v1.ClaimPending, Event: normal("FailedBinding", "no persistent volumes available for this claim and no storage class is set")}, nil
	case !provisioning:
		return ClaimPlan{Phase: v1.ClaimPending}, nil
	}
	return planProvision(claim, class), nil
}

func waits(pods []string) *Event {
	switch len(pods) {
	case 0:
		return normal("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
	case 1:
		return normal("WaitForPodScheduled", "waiting for pod %s to be scheduled", pods[0])
	}
	return normal("WaitForPodScheduled", "waiting for pods %s to be scheduled", strings.Join(pods, ","))
}

// planProvision asks the class's provisioner. The names kubernetes.io/… stood for provisioners inside this daemon; there are none.
func planProvision(claim *v1.PersistentVolumeClaim, class *storagev1.StorageClass) ClaimPlan {
	plan := ClaimPlan{Phase: v1.ClaimPending}
	switch {
	case class == nil:
		plan.Event = warning("ProvisioningFailed", "storageclass.storage.k8s.io %q not found", volume.GetPersistentVolumeClaimClass(claim))
	case strings.HasPrefix(class.Provisioner, "kubernetes.io/"):
		plan.Event = warning("ProvisioningFailed", "no volume plugin matched name: %s", class.Provisioner)
	default:
		plan.Provisioner = class.Provisioner
		plan.Event = normal("ExternalProvisioning", "Waiting for a volume to be created either by the external provisioner '%s' or manually by the system administrator. "+
			"If volume creation is delayed, please verify that the provisioner is running and correctly registered.", class.Provisioner)
	}
	return plan
}

// planReserved is for a claim that names its volume and has not been bound yet.
func planReserved(claim *v1.PersistentVolumeClaim, view View) (ClaimPlan, error) {
	pv := view.Volume(claim.Spec.VolumeName)
	switch {
	case pv == nil:
		return ClaimPlan{Phase: v1.ClaimPending}, nil
	case volume.IsVolumeBoundToClaim(pv, claim):
		return ClaimPlan{Bind: pv}, nil
	case pv.Spec.ClaimRef != nil:
		return ClaimPlan{Phase: v1.ClaimPending, Event: warning("FailedBinding", "volume %q already bound to a different claim.", pv.Name)}, nil
	}
	if err := suits(pv, claim); err != nil {
		return ClaimPlan{Phase: v1.ClaimPending, Event: warning("VolumeMismatch", "Cannot bind to requested volume %q: %s", pv.Name, err)}, nil
	}
	return ClaimPlan{Bind: pv}, nil
}

// suits tells why a volume that a claim names cannot be its.
func suits(pv *v1.PersistentVolume, claim *v1.PersistentVolumeClaim) error {
	wants, has := claim.Spec.Resources.Requests[v1.ResourceStorage], pv.Spec.Capacity[v1.ResourceStorage]
	switch {
	case pv.DeletionTimestamp != nil:
		return fmt.Errorf("the volume is marked for deletion %q", pv.Name)
	case has.Cmp(wants) < 0:
		return fmt.Errorf("requested PV is too small")
	case ptr.Deref(claim.Spec.VolumeAttributesClassName, "") != ptr.Deref(pv.Spec.VolumeAttributesClassName, ""):
		return fmt.Errorf("VolumeAttributesClassName does not match")
	case volume.GetPersistentVolumeClass(pv) != volume.GetPersistentVolumeClaimClass(claim):
		return fmt.Errorf("storageClassName does not match")
	case volume.CheckVolumeModeMismatches(&claim.Spec, &pv.Spec):
		return fmt.Errorf("incompatible volumeMode")
	case !volume.CheckAccessModes(claim, pv):
		return fmt.Errorf("incompatible accessMode")
	}
	return nil
}

// planBound looks whether a claim that was bound once still is. A lost claim is found again when its volume comes back.
func planBound(claim *v1.PersistentVolumeClaim, view View) ClaimPlan {
	if claim.Spec.VolumeName == "" {
		return lost(claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
	}
	pv := view.Volume(claim.Spec.VolumeName)
	switch {
	case pv == nil:
		return lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
	case pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.UID == claim.UID:
		return ClaimPlan{Bind: pv}
	}
	return lost(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
}

// lost says so once.
func lost(claim *v1.PersistentVolumeClaim, reason, message string) ClaimPlan {
	plan := ClaimPlan{Phase: v1.ClaimLost}
	if claim.Status.Phase != v1.ClaimLost {
		plan.Event = warning(reason, "%s", message)
	}
	return plan
}
