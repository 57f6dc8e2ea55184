package defaulting

import corev1 "k8s.io/api/core/v1"

// volume fills a pod's volume. A volume without a source is an empty directory.
func volume(v *corev1.Volume) {
	s := &v.VolumeSource
	switch {
	case s.EmptyDir != nil, s.PersistentVolumeClaim != nil:
	case s.Secret != nil:
		pointer(&s.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	case s.ConfigMap != nil:
		pointer(&s.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	case s.Projected != nil:
		projected(s.Projected)
	case s.DownwardAPI != nil:
		pointer(&s.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		downward(s.DownwardAPI.Items)
	case s.HostPath != nil:
		hostPath(s.HostPath)
	case s.Ephemeral != nil:
		if t := s.Ephemeral.VolumeClaimTemplate; t != nil {
			claimSpec(&t.Spec)
		}
	case s.Image != nil:
		if s.Image.PullPolicy == "" && s.Image.Reference != "" {
			s.Image.PullPolicy = pullPolicy(s.Image.Reference)
		}
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
	case *s == (corev1.VolumeSource{}):
		s.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
}

func hostPath(s *corev1.HostPathVolumeSource) { pointer(&s.Type, corev1.HostPathUnset) }

func projected(s *corev1.ProjectedVolumeSource) {
	pointer(&s.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for i := range s.Sources {
		source := &s.Sources[i]
		if source.DownwardAPI != nil {
			downward(source.DownwardAPI.Items)
		}
		if t := source.ServiceAccountToken; t != nil {
			pointer(&t.ExpirationSeconds, 60*60)
		}
	}
}

func downward(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		fieldRef(files[i].FieldRef)
	}
}

func azureDisk(d *corev1.AzureDiskVolumeSource) {
	pointer(&d.CachingMode, corev1.AzureDataDiskCachingReadWrite)
	pointer(&d.Kind, corev1.AzureSharedBlobDisk)
	pointer(&d.FSType, "ext4")
	pointer(&d.ReadOnly, false)
}
