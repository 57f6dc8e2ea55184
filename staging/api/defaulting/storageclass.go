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
