package defaulting

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// StorageClass fills a storage class.
func StorageClass(c *storagev1.StorageClass) {
	pointer(&c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
	pointer(&c.VolumeBindingMode, storagev1.VolumeBindingImmediate)
}

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

// VolumeAttachment fills the volume that an attachment holds inline.
func VolumeAttachment(a *storagev1.VolumeAttachment) {
	if a.Spec.Source.InlineVolumeSpec != nil {
		persistentVolumeSpec(a.Spec.Source.InlineVolumeSpec)
	}
}
