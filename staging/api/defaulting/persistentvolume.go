package defaulting

import corev1 "k8s.io/api/core/v1"

// PersistentVolume fills a persistent volume.
func PersistentVolume(v *corev1.PersistentVolume) {
	value(&v.Status.Phase, corev1.VolumePending)
	value(&v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	pointer(&v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	persistentVolumeSpec(&v.Spec)
}

func persistentVolumeSpec(s *corev1.PersistentVolumeSpec) {
	quantities(s.Capacity)
	switch {
	case s.HostPath != nil:
		hostPath(s.HostPath)
	case s.ISCSI != nil:
		value(&s.ISCSI.ISCSIInterface, "default")
	case s.RBD != nil:
		value(&s.RBD.RBDPool, "rbd")
		value(&s.RBD.RadosUser, "admin")
		value(&s.RBD.Keyring, "/etc/ceph/keyring")
	case s.AzureDisk != nil:
		azureDisk(s.AzureDisk)
	case s.ScaleIO != nil:
		value(&s.ScaleIO.StorageMode, "ThinProvisioned")
		value(&s.ScaleIO.FSType, "xfs")
	}
}

// PersistentVolumeClaim fills a claim.
func PersistentVolumeClaim(c *corev1.PersistentVolumeClaim) {
	value(&c.Status.Phase, corev1.ClaimPending)
	claimSpec(&c.Spec)
	quantities(c.Status.Capacity)
	quantities(c.Status.AllocatedResources)
}

func claimSpec(s *corev1.PersistentVolumeClaimSpec) {
	pointer(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
	quantities(s.Resources.Limits)
	quantities(s.Resources.Requests)
}
