package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"
)

const (
	notStandardResource  = "must be a standard resource type or fully qualified"
	notContainerResource = "must be a standard resource for containers"
	notExtendedResource  = "doesn't follow extended resource name standard"
)

func hugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// containerResource tells whether a node shares a resource out to containers without a plugin.
func containerResource(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	}
	return hugePages(name)
}

// standardResource tells whether a name without a domain is known.
func standardResource(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourceStorage,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage, corev1.ResourceRequestsStorage,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
		corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return hugePages(name) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
}

// nativeResource tells whether a name is ours: it has no domain, or one of kubernetes.io.
func nativeResource(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// extendedResource tells whether a resource is advertised by a device plugin or an operator: it has a foreign domain
// and can still be named in a quota.
func extendedResource(name corev1.ResourceName) bool {
	if nativeResource(name) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// overcommit tells whether the limit of a resource may be more than its request.
func overcommit(name corev1.ResourceName) bool { return nativeResource(name) && !hugePages(name) }

// countedResource tells whether a resource comes in whole pieces.
func countedResource(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return extendedResource(name)
}

// resourceName checks a name as such.
func resourceName(f *faults, name corev1.ResourceName, p *field.Path) {
	msgs := validation.IsQualifiedName(string(name))
	f.messages(p, "", string(name), msgs)
	if len(msgs) == 0 && !strings.Contains(string(name), "/") && !standardResource(name) {
		f.invalid(p, "", string(name), notStandardResource)
	}
}

func containerResourceName(f *faults, name corev1.ResourceName, p *field.Path) {
	if containerResource(name) {
		return
	}
	resourceName(f, name, p)
	switch {
	case !strings.Contains(string(name), "/"):
		f.invalid(p, "", string(name), notContainerResource)
	case !nativeResource(name) && !extendedResource(name):
		f.invalid(p, "", string(name), notExtendedResource)
	}
}

// resourceAmount checks how much of a resource there is.
func resourceAmount(f *faults, name corev1.ResourceName, q resource.Quantity, p *field.Path) {
	if q.Sign() < 0 {
		f.invalid(p, "", q.String(), notNegative)
	}
	if countedResource(name) && q.MilliValue()%1000 != 0 {
		f.invalid(p, "", q.String(), "must be an integer")
	}
}

// resourceLists checks the requests and limits of one consumer. p is the path of both.
func resourceLists(f *faults, requests, limits corev1.ResourceList, p *field.Path, requestName, limitName string) {
	huge, base := false, false
	check := func(list corev1.ResourceList, listName string) {
		for name, q := range list {
			switch {
			case name == corev1.ResourceCPU, name == corev1.ResourceMemory:
				base = true
			case hugePages(name):
				huge = true
			}
			if containerResource(name) && q.Sign() >= 0 && !hugePages(name) {
				continue
			}
			at := child(p, listName).Key(string(name))
			containerResourceName(f, name, at)
			resourceAmount(f, name, q, at)
			if hugePages(name) {
				hugePageAmount(f, name, q, at)
			}
		}
	}
	check(limits, limitName)
	check(requests, requestName)
	for name, q := range requests {
		limit, limited := limits[name]
		switch {
		case limited && q.Cmp(limit) != 0 && !overcommit(name):
			f.invalid(p, requestName, q.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))
		case limited && q.Cmp(limit) > 0:
			f.invalid(p, requestName, q.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))
		case !limited && !overcommit(name):
			f.required(p, limitName, "Limit must be set for non overcommitable resources")
		}
	}
	if huge && !base {
		f.forbidden(p, "", "HugePages require cpu or memory")
	}
}

func hugePageAmount(f *faults, name corev1.ResourceName, q resource.Quantity, p *field.Path) {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	if err != nil {
		f.invalid(p, "", string(name), "must name a page size after hugepages-")
		return
	}
	if size.Sign() <= 0 || q.Sign() < 0 {
		return
	}
	if q.Value()%size.Value() != 0 {
		f.invalid(p, "", q.String(), "not positive integer multiple of "+size.String())
	}
}

func containerResources(f *faults, r *corev1.ResourceRequirements, c *podContext, p *field.Path) {
	resourceLists(f, r.Requests, r.Limits, p, "requests", "limits")
	if len(r.Claims) == 0 {
		return
	}
	var used seen[corev1.ResourceClaim]
	p = p.Child("claims")
	for i, claim := range r.Claims {
		at := p.Index(i)
		switch {
		case claim.Name == "":
			f.required(at, "name", "")
			continue
		case !c.claims.has(claim.Name):
			f.notFound(at, "", claim.Name)
		}
		whole := corev1.ResourceClaim{Name: claim.Name}
		if used.has(whole) || used.again(claim) {
			f.duplicate(at, "", claim.Name)
		}
		if claim.Request != "" {
			f.dnsLabel(at, "request", claim.Request)
		}
	}
}

// podLevelResources checks resources for the pod as a whole (KEP-2837).
func podLevelResources(f *faults, s *corev1.PodSpec, spec *field.Path) {
	r, p := s.Resources, spec.Child("resources")
	if len(r.Claims) > 0 {
		f.forbidden(p, "claims", "claims cannot be set for Resources at pod-level")
	}
	for _, l := range []struct {
		name string
		list corev1.ResourceList
	}{{"limits", r.Limits}, {"requests", r.Requests}} {
		for name := range l.list {
			if !resourcehelper.IsSupportedPodLevelResource(name) {
				f.add(field.NotSupported(p.Child(l.name).Key(string(name)), name, []corev1.ResourceName{corev1.ResourceCPU, "hugepages-*", corev1.ResourceMemory}))
			}
		}
	}
	resourceLists(f, r.Requests, r.Limits, p, "requests", "limits")
	pod := &corev1.Pod{Spec: *s}
	for name, sum := range resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{}) {
		if q, ok := r.Requests[name]; ok && sum.Cmp(q) > 0 {
			f.invalid(p, "requests", q.String(), fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", sum.String()))
		}
	}
	for i := range s.Containers {
		for name, q := range s.Containers[i].Resources.Limits {
			if limit, ok := r.Limits[name]; ok && q.Cmp(limit) > 0 {
				f.invalid(spec.Child("containers").Index(i).Child("resources"), "limits", q.String(), fmt.Sprintf("must be less than or equal to pod limits of %s", limit.String()))
			}
		}
	}
}

// resourceClaimRefs checks the device claims that a pod uses (KEP-4381).
func resourceClaimRefs(f *faults, list []corev1.PodResourceClaim, c *podContext, p *field.Path) {
	for i := range list {
		claim := &list[i]
		at := p.Child("resourceClaims").Index(i)
		if f.present(at, "name", claim.Name) {
			if c.claims.again(claim.Name) {
				f.duplicate(at, "name", claim.Name)
			} else {
				f.dnsLabel(at, "name", claim.Name)
			}
		}
		if claim.ResourceClaimName != nil && claim.ResourceClaimTemplateName != nil {
			f.invalid(at, "", *claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
		}
		if claim.ResourceClaimName == nil && claim.ResourceClaimTemplateName == nil {
			f.invalid(at, "", *claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
		}
		if claim.ResourceClaimName != nil {
			f.dnsSubdomain(at, "resourceClaimName", *claim.ResourceClaimName)
		}
		if claim.ResourceClaimTemplateName != nil {
			f.dnsSubdomain(at, "resourceClaimTemplateName", *claim.ResourceClaimTemplateName)
		}
	}
}
