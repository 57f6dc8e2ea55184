package validation

import (
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"

	declared "pilotis.dev/api/validation/zz_generated/resourcev1alpha3"
)

func poolStatusRequestCreate(r *resourcev1alpha3.ResourcePoolStatusRequest) *faults {
	f := metadata(&r.ObjectMeta, cluster, subdomainName)
	return declares(f, "spec", declared.Validate_ResourcePoolStatusRequestSpec, &r.Spec, nil)
}

func poolStatusRequestUpdate(r, old *resourcev1alpha3.ResourcePoolStatusRequest) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "spec", r.Spec, old.Spec)
	return f
}

// poolStatusRequestStatus: an answer is given once.
func poolStatusRequestStatus(r, old *resourcev1alpha3.ResourcePoolStatusRequest) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	if old.Status != nil {
		f.immutable(nil, "status", r.Status, old.Status)
		return f
	}
	if r.Status == nil {
		return f
	}
	return declares(f, "status", declared.Validate_ResourcePoolStatusRequestStatus, r.Status, nil)
}
