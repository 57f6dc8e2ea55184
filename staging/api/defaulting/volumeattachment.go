package defaulting

import (
	storagev1 "k8s.io/api/storage/v1"
)

// VolumeAttachment fills the volume that an attachment holds inline.
func VolumeAttachment(a *storagev1.VolumeAttachment) {
	if a.Spec.Source.InlineVolumeSpec != nil {
		persistentVolumeSpec(a.Spec.Source.InlineVolumeSpec)
	}
}
