package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func resourceQuotaCreate(q *corev1.ResourceQuota) *faults {
	f := metadata(&q.ObjectMeta, namespaced, subdomainName)
	quotaSpec(f, &q.Spec, field.NewPath("spec"))
	return f
}

func resourceQuotaUpdate(q, old *corev1.ResourceQuota) *faults {
	f := metadataUpdate(&q.ObjectMeta, &old.ObjectMeta)
	spec := field.NewPath("spec")
	quotaSpec(f, &q.Spec, spec)
	f.immutable(spec, "scopes", q.Spec.Scopes, old.Spec.Scopes)
	f.immutable(spec, "scopeSelector", q.Spec.ScopeSelector, old.Spec.ScopeSelector)
	return f
}

func resourceQuotaStatus(q, old *corev1.ResourceQuota) *faults {
	f := metadataUpdate(&q.ObjectMeta, &old.ObjectMeta)
	if q.ResourceVersion == "" {
		f.required(nil, "resourceVersion", "")
	}
	status := field.NewPath("status")
	quotaList(f, q.Status.Hard, status.Child("hard"))
	quotaList(f, q.Status.Used, status.Child("used"))
	return f
}

func quotaList(f *faults, list corev1.ResourceList, p *field.Path) {
	for name, q := range list {
		quotaResource(f, name, p.Key(string(name)))
		resourceAmount(f, name, q, p.Key(string(name)))
	}
}

// quotaResource checks the name of something that a quota counts: a resource, or count/resource.group.
func quotaResource(f *faults, name corev1.ResourceName, p *field.Path) {
	resourceName(f, name, p)
	if strings.Contains(string(name), "/") {
		return
	}
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsStorage, corev1.ResourceRequestsEphemeralStorage,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
		corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return
	}
	if !hugePages(name) && !strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix) {
		f.invalid(p, "", string(name), "must be a standard resource for quotas")
	}
}

func quotaSpec(f *faults, s *corev1.ResourceQuotaSpec, p *field.Path) {
	quotaList(f, s.Hard, p.Child("hard"))
	quotaScopes(f, s, p.Child("scopes"))
	if s.ScopeSelector != nil {
		scopeSelector(f, s, p.Child("scopeSelector").Child("matchExpressions"))
	}
}

func knownScope(scope corev1.ResourceQuotaScope) bool {
	switch scope {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort,
		corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity,
		corev1.ResourceQuotaScopeVolumeAttributesClass:
		return true
	}
	return false
}

// scopeCounts tells whether a scope can tell apart what a resource counts.
func scopeCounts(scope corev1.ResourceQuotaScope, name corev1.ResourceName) bool {
	switch scope {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		switch name {
		case corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
			corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory:
			return true
		}
		return false
	case corev1.ResourceQuotaScopeBestEffort:
		return name == corev1.ResourcePods
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		return name == corev1.ResourcePersistentVolumeClaims || name == corev1.ResourceRequestsStorage || strings.Contains(string(name), ".storageclass.storage.k8s.io/")
	}
	return true
}

func quotaScopes(f *faults, s *corev1.ResourceQuotaSpec, p *field.Path) {
	for _, scope := range s.Scopes {
		if !knownScope(scope) {
			f.invalid(p, "", s.Scopes, "unsupported scope")
			continue
		}
		for name := range s.Hard {
			if !scopeCounts(scope, name) {
				f.invalid(p, "", s.Scopes, "unsupported scope applied to resource")
			}
		}
	}
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if slices.Contains(s.Scopes, pair[0]) && slices.Contains(s.Scopes, pair[1]) {
			f.invalid(p, "", s.Scopes, "conflicting scopes")
		}
	}
}

func scopeSelector(f *faults, s *corev1.ResourceQuotaSpec, p *field.Path) {
	var scopes []corev1.ResourceQuotaScope
	for i, r := range s.ScopeSelector.MatchExpressions {
		at := p.Index(i)
		if !knownScope(r.ScopeName) {
			f.invalid(at, "scopeName", r.ScopeName, "unsupported scope")
		} else {
			for name := range s.Hard {
				if !scopeCounts(r.ScopeName, name) {
					f.invalid(p, "", name, "unsupported scope applied to resource")
				}
			}
		}
		scopes = append(scopes, r.ScopeName)
		switch r.ScopeName {
		case corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeTerminating,
			corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
			if r.Operator != corev1.ScopeSelectorOpExists {
				f.invalid(at, "operator", r.Operator, "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity")
			}
		}
		switch r.Operator {
		case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
			if len(r.Values) == 0 {
				f.required(at, "values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
			}
		case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
			if len(r.Values) > 0 {
				f.invalid(at, "values", r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
			}
		default:
			f.invalid(at, "operator", r.Operator, "not a valid selector operator")
		}
		for _, v := range r.Values {
			f.messages(at, "values", v, validation.IsDNS1123Subdomain(v))
		}
	}
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if slices.Contains(scopes, pair[0]) && slices.Contains(scopes, pair[1]) {
			f.invalid(p, "", scopes, "conflicting scopes")
		}
	}
}
