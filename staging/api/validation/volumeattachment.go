package validation

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Sizes of what an attacher reports.
const (
	maxAttachmentMetadata = 256 * 1024
	maxVolumeError        = 1024
)

func volumeAttachmentCreate(a *storagev1.VolumeAttachment) *faults {
	f := metadata(&a.ObjectMeta, cluster, subdomainName)
	p := field.NewPath("spec")
	driverName(f, a.Spec.Attacher, p, "attacher")
	source := p.Child("source")
	s := &a.Spec.Source
	switch {
	case s.InlineVolumeSpec == nil && s.PersistentVolumeName == nil:
		f.required(source, "", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
	case s.InlineVolumeSpec != nil && s.PersistentVolumeName != nil:
		f.forbidden(source, "", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
	case s.PersistentVolumeName != nil:
		if *s.PersistentVolumeName == "" {
			f.required(source, "persistentVolumeName", "must specify non empty persistentVolumeName")
		} else {
			f.dnsSubdomain(source, "persistentVolumeName", *s.PersistentVolumeName)
		}
	default:
		persistentVolumeSpec(f, s.InlineVolumeSpec, true, source.Child("inlineVolumeSpec"))
	}
	f.messages(p, "nodeName", a.Spec.NodeName, subdomainName(a.Spec.NodeName, false))
	attachmentStatus(f, &a.Status)
	return f
}

func volumeAttachmentUpdate(a, old *storagev1.VolumeAttachment) *faults {
	f := metadataUpdate(&a.ObjectMeta, &old.ObjectMeta)
	if !same(&a.Spec, &old.Spec) {
		f.invalid(nil, "spec", a.Spec, immutable)
	}
	attachmentStatus(f, &a.Status)
	return f
}

func attachmentStatus(f *faults, s *storagev1.VolumeAttachmentStatus) {
	p := field.NewPath("status")
	total := 0
	for k, v := range s.AttachmentMetadata {
		total += len(k) + len(v)
	}
	if total > maxAttachmentMetadata {
		f.tooLong(p, "attachmentMetadata", maxAttachmentMetadata)
	}
	for _, e := range []struct {
		name string
		err  *storagev1.VolumeError
	}{{"attachError", s.AttachError}, {"detachError", s.DetachError}} {
		if e.err == nil {
			continue
		}
		if len(e.err.Message) > maxVolumeError {
			f.tooLong(p.Child(e.name), "message", maxVolumeError)
		}
		if c := e.err.ErrorCode; c != nil {
			f.notNegative(p.Child(e.name), "errorCode", int64(*c))
		}
	}
}
