package validation

import (
	"fmt"
	"strings"

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
		if f.present(source, "persistentVolumeName", *s.PersistentVolumeName) {
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

func csiDriverCreate(d *storagev1.CSIDriver) *faults {
	f := metadata(&d.ObjectMeta, cluster, subdomainName)
	if len(d.Name) > maxDriverName {
		f.tooLong(nil, "name", maxDriverName)
	}
	csiDriverSpec(f, &d.Spec)
	return f
}

func csiDriverUpdate(d, old *storagev1.CSIDriver) *faults {
	f := metadataUpdate(&d.ObjectMeta, &old.ObjectMeta)
	csiDriverSpec(f, &d.Spec)
	f.immutable(field.NewPath("spec"), "attachRequired", d.Spec.AttachRequired, old.Spec.AttachRequired)
	if !same(d.Spec.VolumeLifecycleModes, old.Spec.VolumeLifecycleModes) {
		f.invalid(field.NewPath("spec"), "volumeLifecycleModes", d.Spec.VolumeLifecycleModes, immutable)
	}
	return f
}

// minAllocatablePeriod is how often, at most, a driver's limits are asked anew (KEP-4876).
const minAllocatablePeriod = 10

func csiDriverSpec(f *faults, s *storagev1.CSIDriverSpec) {
	p := field.NewPath("spec")
	if s.AttachRequired == nil {
		f.required(p, "attachedRequired", "")
	}
	if s.PodInfoOnMount == nil {
		f.required(p, "podInfoOnMount", "")
	}
	if s.StorageCapacity == nil {
		f.required(p, "storageCapacity", "")
	}
	if s.FSGroupPolicy == nil {
		f.required(p, "fsGroupPolicy", "")
	} else {
		oneOf(f, p, "fsGroupPolicy", *s.FSGroupPolicy, storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	}
	for _, m := range s.VolumeLifecycleModes {
		oneOf(f, p, "volumeLifecycleModes", m, storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral)
	}
	if s.SELinuxMount == nil {
		f.required(p, "seLinuxMount", "")
	}
	if n := s.NodeAllocatableUpdatePeriodSeconds; n != nil && *n < minAllocatablePeriod {
		f.invalid(p, "nodeAllocatableUpdatePeriodSeconds", *n, fmt.Sprintf("must be greater than or equal to %d seconds", minAllocatablePeriod))
	}
	if s.ServiceAccountTokenInSecrets != nil && len(s.TokenRequests) == 0 {
		f.invalid(p, "serviceAccountTokenInSecrets", *s.ServiceAccountTokenInSecrets, "may only be set when tokenRequests is specified")
	}
	var audiences seen[string]
	for i, r := range s.TokenRequests {
		at := p.Child("tokenRequests").Index(i)
		if audiences.again(r.Audience) {
			f.duplicate(at, "audience", r.Audience)
		}
		if r.ExpirationSeconds == nil {
			continue
		}
		if *r.ExpirationSeconds < minTokenSeconds {
			f.invalid(at, "expirationSeconds", *r.ExpirationSeconds, "may not specify a duration less than 10 minutes")
		}
		if *r.ExpirationSeconds > maxTokenSeconds {
			f.invalid(at, "expirationSeconds", *r.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds")
		}
	}
}

const (
	maxNodeID = 192
)

func csiNodeCreate(n *storagev1.CSINode) *faults {
	f := metadata(&n.ObjectMeta, cluster, subdomainName)
	csiNodeDrivers(f, n.Spec.Drivers)
	return f
}

// csiNodeUpdate: a driver may come and go, but while it stays it keeps its identity.
func csiNodeUpdate(n, old *storagev1.CSINode) *faults {
	f := metadataUpdate(&n.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("spec", "drivers")
	csiNodeDrivers(f, n.Spec.Drivers)
	for i := range n.Spec.Drivers {
		d := n.Spec.Drivers[i]
		for j := range old.Spec.Drivers {
			o := old.Spec.Drivers[j]
			if o.Name != d.Name {
				continue
			}
			o.Allocatable = d.Allocatable // drivers may correct their limits (KEP-4876)
			if !same(d, o) {
				f.invalid(p.Index(i), "", n.Spec.Drivers[i], immutable)
			}
		}
	}
	return f
}

func csiNodeDrivers(f *faults, list []storagev1.CSINodeDriver) {
	p := field.NewPath("spec", "drivers")
	var names seen[string]
	for i := range list {
		d := &list[i]
		at := p.Index(i)
		driverName(f, d.Name, at, "name")
		if names.again(d.Name) {
			f.duplicate(at, "name", d.Name)
		}
		if f.present(at, "nodeID", d.NodeID) && len(d.NodeID) > maxNodeID {
			f.tooLong(at, "nodeID", maxNodeID)
		}
		if a := d.Allocatable; a != nil && a.Count != nil && *a.Count < 0 {
			f.invalid(at.Child("allocatable"), "count", *a.Count, notNegative)
		}
		var keys seen[string]
		for _, k := range d.TopologyKeys {
			if keys.again(k) {
				f.duplicate(at, "topologyKeys", k)
			}
			labelKey(f, strings.ToLower(k), at.Child("topologyKeys"))
		}
	}
}
