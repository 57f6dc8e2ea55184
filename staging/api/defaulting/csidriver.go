package defaulting

import (
	storagev1 "k8s.io/api/storage/v1"
)

// CSIDriver fills a CSI driver.
func CSIDriver(d *storagev1.CSIDriver) {
	s := &d.Spec
	pointer(&s.AttachRequired, true)
	pointer(&s.PodInfoOnMount, false)
	pointer(&s.StorageCapacity, false)
	pointer(&s.FSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	pointer(&s.RequiresRepublish, false)
	pointer(&s.SELinuxMount, false)
	if len(s.VolumeLifecycleModes) == 0 {
		s.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}
	}
}
