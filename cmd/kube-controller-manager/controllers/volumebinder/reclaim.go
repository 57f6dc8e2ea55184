package volumebinder

import (
	"fmt"
	"path"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

// Reclaim is what happens to a released volume.
type Reclaim struct {
	// Remove deletes the PersistentVolume, after the directory Path of this machine when that is set.
	Remove bool
	Path   string
	// Failure is told in the volume's status and as an event.
	Failure *Event
}

// PlanReclaim decides about a released volume. Volumes of an external provisioner are left to it.
//
// A hostPath volume is deleted on this daemon's own machine, if its directory lies below /tmp: hostPath is for clusters of one node.
func PlanReclaim(pv *v1.PersistentVolume) Reclaim {
	if pv.Annotations[volume.AnnMigratedTo] != "" || pv.DeletionTimestamp != nil {
		return Reclaim{}
	}
	switch pv.Spec.PersistentVolumeReclaimPolicy {
	case v1.PersistentVolumeReclaimRecycle:
		return Reclaim{Failure: warning("VolumeFailedRecycle", "No recycler plugin found for the volume!")}
	case v1.PersistentVolumeReclaimDelete:
	default:
		return Reclaim{} // Retain: an administrator looks after it
	}
	by, provisioned := pv.Annotations[volume.AnnDynamicallyProvisioned]
	switch {
	case provisioned && by != "" && !strings.HasPrefix(by, "kubernetes.io/"):
		return Reclaim{}
	case pv.Spec.HostPath == nil:
		return Reclaim{Failure: warning("VolumeFailedDelete", "error getting deleter volume plugin for volume %q: no deletable volume plugin matched", pv.Name)}
	}
	if dir := path.Clean(pv.Spec.HostPath.Path); strings.HasPrefix(dir, "/tmp/") {
		return Reclaim{Remove: true, Path: dir}
	}
	return Reclaim{Failure: &Event{v1.EventTypeWarning, "VolumeFailedDelete", fmt.Sprintf("host_path deleter only supports /tmp/.+ but received provided %s", pv.Spec.HostPath.Path)}}
}
