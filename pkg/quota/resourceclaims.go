package quota

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
)

// resourceClaims counts ResourceClaims and, by device class, the devices that they may get.
type resourceClaims struct{ list generic.ListFuncByNamespace }

var _ quotav1.Evaluator = &resourceClaims{}

const countResourceClaims = corev1.ResourceName("count/resourceclaims.resource.k8s.io")

// GroupResource implements quotav1.Evaluator.
func (c *resourceClaims) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceclaims"}
}

// Constraints implements quotav1.Evaluator.
func (c *resourceClaims) Constraints([]corev1.ResourceName, runtime.Object) error { return nil }

// Handles implements quotav1.Evaluator; the spec of a claim cannot change.
func (c *resourceClaims) Handles(a admission.Attributes) bool {
	return a.GetSubresource() == "" && a.GetOperation() == admission.Create
}

// Matches implements quotav1.Evaluator.
func (c *resourceClaims) Matches(q *corev1.ResourceQuota, item runtime.Object) (bool, error) {
	return generic.Matches(q, item, c.MatchingResources, generic.MatchesNoScopeFunc)
}

// MatchingResources implements quotav1.Evaluator.
func (c *resourceClaims) MatchingResources(input []corev1.ResourceName) []corev1.ResourceName {
	var out []corev1.ResourceName
	for _, name := range input {
		if name == countResourceClaims || strings.HasSuffix(string(name), corev1.ResourceClaimsPerClass) {
			out = append(out, name)
		}
	}
	return out
}

// MatchingScopes implements quotav1.Evaluator.
func (c *resourceClaims) MatchingScopes(runtime.Object, []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return []corev1.ScopedResourceSelectorRequirement{}, nil
}

// UncoveredQuotaScopes implements quotav1.Evaluator.
func (c *resourceClaims) UncoveredQuotaScopes(_, _ []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return []corev1.ScopedResourceSelectorRequirement{}, nil
}

// Usage implements quotav1.Evaluator. Of alternatives, the largest number of each class counts, because any may be taken.
func (c *resourceClaims) Usage(item runtime.Object) (corev1.ResourceList, error) {
	claim, ok := item.(*resourcev1.ResourceClaim)
	if !ok {
		return nil, fault(item, "resourceclaims")
	}
	usage := corev1.ResourceList{countResourceClaims: *resource.NewQuantity(1, resource.DecimalSI)}
	for _, r := range claim.Spec.Devices.Requests {
		most := map[string]int64{}
		add := func(class string, mode resourcev1.DeviceAllocationMode, count int64) {
			if mode == resourcev1.DeviceAllocationModeAll {
				count = resourcev1.AllocationResultsMaxSize
			}
			if class != "" && count > most[class] {
				most[class] = count
			}
		}
		if r.Exactly != nil {
			add(r.Exactly.DeviceClassName, r.Exactly.AllocationMode, r.Exactly.Count)
		}
		for _, sub := range r.FirstAvailable {
			add(sub.DeviceClassName, sub.AllocationMode, sub.Count)
		}
		for class, count := range most {
			name := corev1.ResourceName(class + corev1.ResourceClaimsPerClass)
			q := usage[name]
			q.Add(*resource.NewQuantity(count, resource.DecimalSI))
			usage[name] = q
		}
	}
	return usage, nil
}

// UsageStats implements quotav1.Evaluator.
func (c *resourceClaims) UsageStats(options quotav1.UsageStatsOptions) (quotav1.UsageStats, error) {
	return generic.CalculateUsageStats(options, c.list, generic.MatchesNoScopeFunc, c.Usage)
}
