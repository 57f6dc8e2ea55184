package validation

import (
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

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
