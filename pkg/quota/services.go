package quota

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
)

// services counts Services, their node ports and their load balancers.
type services struct{ list generic.ListFuncByNamespace }

var _ quotav1.Evaluator = &services{}

// GroupResource implements quotav1.Evaluator.
func (s *services) GroupResource() schema.GroupResource {
	return schema.GroupResource{Resource: "services"}
}

// Constraints implements quotav1.Evaluator.
func (s *services) Constraints([]corev1.ResourceName, runtime.Object) error { return nil }

// Handles implements quotav1.Evaluator: an update may change the type.
func (s *services) Handles(a admission.Attributes) bool {
	return a.GetSubresource() == "" && (a.GetOperation() == admission.Create || a.GetOperation() == admission.Update)
}

// Matches implements quotav1.Evaluator.
func (s *services) Matches(q *corev1.ResourceQuota, item runtime.Object) (bool, error) {
	return generic.Matches(q, item, s.MatchingResources, generic.MatchesNoScopeFunc)
}

// MatchingResources implements quotav1.Evaluator.
func (s *services) MatchingResources(input []corev1.ResourceName) []corev1.ResourceName {
	return quotav1.Intersection(input, []corev1.ResourceName{
		"count/services", corev1.ResourceServices, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
	})
}

// MatchingScopes implements quotav1.Evaluator.
func (s *services) MatchingScopes(runtime.Object, []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return []corev1.ScopedResourceSelectorRequirement{}, nil
}

// UncoveredQuotaScopes implements quotav1.Evaluator.
func (s *services) UncoveredQuotaScopes(_, _ []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return []corev1.ScopedResourceSelectorRequirement{}, nil
}

// Usage implements quotav1.Evaluator.
func (s *services) Usage(item runtime.Object) (corev1.ResourceList, error) {
	service, ok := item.(*corev1.Service)
	if !ok {
		return nil, fault(item, "services")
	}
	n := func(i int64) resource.Quantity { return *resource.NewQuantity(i, resource.DecimalSI) }
	usage := corev1.ResourceList{
		"count/services":                     n(1),
		corev1.ResourceServices:              n(1),
		corev1.ResourceServicesLoadBalancers: n(0),
		corev1.ResourceServicesNodePorts:     n(0),
	}
	switch service.Spec.Type {
	case corev1.ServiceTypeNodePort:
		usage[corev1.ResourceServicesNodePorts] = n(int64(len(service.Spec.Ports)))
	case corev1.ServiceTypeLoadBalancer:
		usage[corev1.ResourceServicesLoadBalancers] = n(1)
		usage[corev1.ResourceServicesNodePorts] = n(nodePorts(service))
	}
	return usage, nil
}

// nodePorts of a load balancer: all, unless it does without, then those that were asked for by number.
func nodePorts(s *corev1.Service) int64 {
	if s.Spec.AllocateLoadBalancerNodePorts == nil || *s.Spec.AllocateLoadBalancerNodePorts {
		return int64(len(s.Spec.Ports))
	}
	var count int64
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			count++
		}
	}
	return count
}

// UsageStats implements quotav1.Evaluator.
func (s *services) UsageStats(options quotav1.UsageStatsOptions) (quotav1.UsageStats, error) {
	return generic.CalculateUsageStats(options, s.list, generic.MatchesNoScopeFunc, s.Usage)
}
