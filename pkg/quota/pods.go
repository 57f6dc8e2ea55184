package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/utils/clock"
)

// pods counts pods and what they ask of nodes.
type pods struct {
	list  generic.ListFuncByNamespace
	clock clock.PassiveClock
}

var _ quotav1.Evaluator = &pods{}

const countPods = corev1.ResourceName("count/pods")

// limitedByContainers are the resources that, once a quota limits them, every container must state.
func limitedByContainers() []corev1.ResourceName {
	return []corev1.ResourceName{
		corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
	}
}

// GroupResource implements quotav1.Evaluator.
func (p *pods) GroupResource() schema.GroupResource { return schema.GroupResource{Resource: "pods"} }

// Constraints implements quotav1.Evaluator: a pod that does not say what it uses would escape its quota.
func (p *pods) Constraints(required []corev1.ResourceName, item runtime.Object) error {
	pod, ok := item.(*corev1.Pod)
	if !ok {
		return fault(item, "pods")
	}
	required = quotav1.Intersection(required, limitedByContainers())
	if len(required) == 0 {
		return nil
	}
	missing := map[string][]string{}
	check := func(name string, c corev1.ResourceRequirements) {
		stated := computeUsage(c.Requests, c.Limits)
		for _, r := range required {
			if _, ok := stated[r]; ok || statedForPod(pod, r) {
				continue
			}
			missing[string(r)] = append(missing[string(r)], name)
		}
	}
	for i := range pod.Spec.Containers {
		check(pod.Spec.Containers[i].Name, pod.Spec.Containers[i].Resources)
	}
	for i := range pod.Spec.InitContainers {
		check(pod.Spec.InitContainers[i].Name, pod.Spec.InitContainers[i].Resources)
	}
	if len(missing) == 0 {
		return nil
	}
	var texts []string
	for _, r := range slices.Sorted(maps.Keys(missing)) {
		names := missing[r]
		slices.Sort(names)
		texts = append(texts, fmt.Sprintf("%s for: %s", r, strings.Join(slices.Compact(names), ",")))
	}
	return fmt.Errorf("must specify %s", strings.Join(texts, "; "))
}

// statedForPod reports whether spec.resources of the pod covers a resource for all its containers.
func statedForPod(pod *corev1.Pod, name corev1.ResourceName) bool {
	if pod.Spec.Resources == nil {
		return false
	}
	_, ok := computeUsage(pod.Spec.Resources.Requests, pod.Spec.Resources.Limits)[name]
	return ok
}

// Handles implements quotav1.Evaluator.
func (p *pods) Handles(a admission.Attributes) bool {
	switch a.GetOperation() {
	case admission.Create:
		return a.GetSubresource() == ""
	case admission.Update:
		if a.GetSubresource() == "resize" {
			return true
		}
		if a.GetSubresource() != "" {
			return false
		}
		pod, ok := a.GetObject().(*corev1.Pod)
		old, ok2 := a.GetOldObject().(*corev1.Pod)
		// a deadline moves the pod from the quotas of long-running pods to those of terminating ones
		return ok && ok2 && terminating(pod) != terminating(old)
	}
	return false
}

// Matches implements quotav1.Evaluator.
func (p *pods) Matches(q *corev1.ResourceQuota, item runtime.Object) (bool, error) {
	return generic.Matches(q, item, p.MatchingResources, podScope)
}

// MatchingResources implements quotav1.Evaluator.
func (p *pods) MatchingResources(input []corev1.ResourceName) []corev1.ResourceName {
	var out []corev1.ResourceName
	for _, name := range input {
		if ofPods(name) {
			out = append(out, name)
		}
	}
	return out
}

// ofPods reports whether a quota on the name concerns pods.
func ofPods(name corev1.ResourceName) bool {
	switch name {
	case countPods, corev1.ResourcePods,
		corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage:
		return true
	}
	if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix) {
		return true
	}
	asked, ok := strings.CutPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
	return ok && extended(corev1.ResourceName(asked))
}

// extended reports whether a resource is of a device plugin.
func extended(name corev1.ResourceName) bool {
	domain, _, qualified := strings.Cut(string(name), "/")
	return qualified && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}

// MatchingScopes implements quotav1.Evaluator.
func (p *pods) MatchingScopes(item runtime.Object, scopes []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return matching(scopes, func(s corev1.ScopedResourceSelectorRequirement) (bool, error) { return podScope(s, item) })
}

// UncoveredQuotaScopes implements quotav1.Evaluator.
func (p *pods) UncoveredQuotaScopes(limited, matched []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return uncovered(limited, matched), nil
}

// Usage implements quotav1.Evaluator.
func (p *pods) Usage(item runtime.Object) (corev1.ResourceList, error) {
	pod, ok := item.(*corev1.Pod)
	if !ok {
		return nil, fault(item, "pods")
	}
	one := *resource.NewQuantity(1, resource.DecimalSI)
	usage := corev1.ResourceList{countPods: one}
	if !p.live(pod) {
		return usage, nil // the object is still there, what it used is free
	}
	options := resourcehelper.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
	usage = quotav1.Add(usage, computeUsage(resourcehelper.PodRequests(pod, options), resourcehelper.PodLimits(pod, options)))
	usage[corev1.ResourcePods] = one
	return usage, nil
}

// UsageStats implements quotav1.Evaluator.
func (p *pods) UsageStats(options quotav1.UsageStatsOptions) (quotav1.UsageStats, error) {
	return generic.CalculateUsageStats(options, p.list, podScope, p.Usage)
}

// live reports whether the pod still holds resources of a node: it has not ended, and its grace period is not over.
func (p *pods) live(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return false
	}
	if pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil {
		end := pod.DeletionTimestamp.Add(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
		return !p.clock.Now().After(end)
	}
	return true
}

// computeUsage names requests and limits as quotas do.
func computeUsage(requests, limits corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, q := range requests {
		switch {
		case name == corev1.ResourceCPU, name == corev1.ResourceMemory, name == corev1.ResourceEphemeralStorage,
			strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			out[name] = q
			out[corev1.DefaultResourceRequestsPrefix+name] = q
		case extended(name):
			out[corev1.DefaultResourceRequestsPrefix+name] = q
		}
	}
	for name, q := range limits {
		switch name {
		case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
			out["limits."+name] = q
		}
	}
	return out
}

// podScope reports whether a pod is in a scope.
func podScope(s corev1.ScopedResourceSelectorRequirement, item runtime.Object) (bool, error) {
	pod, ok := item.(*corev1.Pod)
	if !ok {
		return false, fault(item, "pods")
	}
	switch s.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return terminating(pod), nil
	case corev1.ResourceQuotaScopeNotTerminating:
		return !terminating(pod), nil
	case corev1.ResourceQuotaScopeBestEffort:
		return bestEffort(pod), nil
	case corev1.ResourceQuotaScopeNotBestEffort:
		return !bestEffort(pod), nil
	case corev1.ResourceQuotaScopePriorityClass:
		if s.Operator == corev1.ScopeSelectorOpExists {
			return pod.Spec.PriorityClassName != "", nil
		}
		return matchesValue(s, pod.Spec.PriorityClassName)
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return crossNamespace(pod.Spec.Affinity), nil
	}
	return false, nil
}

func terminating(pod *corev1.Pod) bool {
	return pod.Spec.ActiveDeadlineSeconds != nil && *pod.Spec.ActiveDeadlineSeconds >= 0
}

// bestEffort: no container and not the pod itself asks for CPU or memory.
func bestEffort(pod *corev1.Pod) bool {
	asks := func(lists ...corev1.ResourceList) bool {
		for _, l := range lists {
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				if q, ok := l[name]; ok && !q.IsZero() {
					return true
				}
			}
		}
		return false
	}
	if r := pod.Spec.Resources; r != nil && asks(r.Requests, r.Limits) {
		return false
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if asks(containers[i].Resources.Requests, containers[i].Resources.Limits) {
				return false
			}
		}
	}
	return true
}

// crossNamespace reports whether affinity looks at pods of other namespaces.
func crossNamespace(a *corev1.Affinity) bool {
	if a == nil {
		return false
	}
	var terms []corev1.PodAffinityTerm
	add := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		terms = append(terms, required...)
		for _, p := range preferred {
			terms = append(terms, p.PodAffinityTerm)
		}
	}
	if a.PodAffinity != nil {
		add(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a.PodAntiAffinity != nil {
		add(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	for _, t := range terms {
		if len(t.Namespaces) > 0 || t.NamespaceSelector != nil {
			return true
		}
	}
	return false
}
