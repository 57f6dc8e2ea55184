package quota

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	volumehelper "k8s.io/component-helpers/storage/volume"
)

// claims counts PersistentVolumeClaims and their storage, in all and by storage class.
type claims struct{ list generic.ListFuncByNamespace }

var _ quotav1.Evaluator = &claims{}

// ofClass ends the names of quotas for one storage class, "gold.storageclass.storage.k8s.io/requests.storage".
const ofClass = ".storageclass.storage.k8s.io/"

// GroupResource implements quotav1.Evaluator.
func (c *claims) GroupResource() schema.GroupResource {
	return schema.GroupResource{Resource: "persistentvolumeclaims"}
}

// Constraints implements quotav1.Evaluator; validation demands a storage request already.
func (c *claims) Constraints([]corev1.ResourceName, runtime.Object) error { return nil }

// Handles implements quotav1.Evaluator.
func (c *claims) Handles(a admission.Attributes) bool {
	return a.GetSubresource() == "" && (a.GetOperation() == admission.Create || a.GetOperation() == admission.Update)
}

// Matches implements quotav1.Evaluator.
func (c *claims) Matches(q *corev1.ResourceQuota, item runtime.Object) (bool, error) {
	return generic.Matches(q, item, c.MatchingResources, claimScope)
}

// MatchingResources implements quotav1.Evaluator.
func (c *claims) MatchingResources(input []corev1.ResourceName) []corev1.ResourceName {
	var out []corev1.ResourceName
	for _, name := range input {
		switch name {
		case "count/persistentvolumeclaims", corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage:
			out = append(out, name)
			continue
		}
		if _, what, ok := strings.Cut(string(name), ofClass); ok && (what == "requests.storage" || what == "persistentvolumeclaims") {
			out = append(out, name)
		}
	}
	return out
}

// MatchingScopes implements quotav1.Evaluator.
func (c *claims) MatchingScopes(item runtime.Object, scopes []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return matching(scopes, func(s corev1.ScopedResourceSelectorRequirement) (bool, error) { return claimScope(s, item) })
}

// UncoveredQuotaScopes implements quotav1.Evaluator.
func (c *claims) UncoveredQuotaScopes(limited, matched []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return uncovered(limited, matched), nil
}

// Usage implements quotav1.Evaluator.
func (c *claims) Usage(item runtime.Object) (corev1.ResourceList, error) {
	claim, ok := item.(*corev1.PersistentVolumeClaim)
	if !ok {
		return nil, fault(item, "persistentvolumeclaims")
	}
	one := *resource.NewQuantity(1, resource.DecimalSI)
	usage := corev1.ResourceList{"count/persistentvolumeclaims": one, corev1.ResourcePersistentVolumeClaims: one}
	class := volumehelper.GetPersistentVolumeClaimClass(claim)
	if class != "" {
		usage[corev1.ResourceName(class+ofClass)+corev1.ResourcePersistentVolumeClaims] = one
	}
	if size, ok := claim.Spec.Resources.Requests[corev1.ResourceStorage]; ok {
		// a failed growth may be taken back, but what was allocated counts until it is
		if allocated, ok := claim.Status.AllocatedResources[corev1.ResourceStorage]; ok && allocated.Cmp(size) > 0 {
			size = allocated
		}
		usage[corev1.ResourceRequestsStorage] = size
		if class != "" {
			usage[corev1.ResourceName(class+ofClass)+corev1.ResourceRequestsStorage] = size
		}
	}
	return usage, nil
}

// UsageStats implements quotav1.Evaluator.
func (c *claims) UsageStats(options quotav1.UsageStatsOptions) (quotav1.UsageStats, error) {
	return generic.CalculateUsageStats(options, c.list, claimScope, c.Usage)
}

// claimScope: a claim is in the scope of the attributes classes that it has or gets.
func claimScope(s corev1.ScopedResourceSelectorRequirement, item runtime.Object) (bool, error) {
	claim, ok := item.(*corev1.PersistentVolumeClaim)
	if !ok {
		return false, fault(item, "persistentvolumeclaims")
	}
	if s.ScopeName != corev1.ResourceQuotaScopeVolumeAttributesClass {
		return false, nil
	}
	names := map[string]bool{}
	for _, n := range []*string{claim.Spec.VolumeAttributesClassName, claim.Status.CurrentVolumeAttributesClassName} {
		if n != nil && *n != "" {
			names[*n] = true
		}
	}
	if m := claim.Status.ModifyVolumeStatus; m != nil && m.TargetVolumeAttributesClassName != "" {
		names[m.TargetVolumeAttributesClassName] = true
	}
	if len(names) == 0 {
		return matchesValue(s, "")
	}
	for n := range names {
		if ok, err := matchesValue(s, n); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
