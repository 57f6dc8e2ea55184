package act

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/resources"
)

// OOM scores: the kernel ends what has the highest first. Guaranteed pods and critical ones come last.
const (
	guaranteedOOMScore = -997
	bestEffortOOMScore = 1000
)

// Resources are a container's limits for the kernel.
func (a *Actor) Resources(pod *v1.Pod, c *v1.Container) *runtimeapi.LinuxContainerResources {
	out := &runtimeapi.LinuxContainerResources{OomScoreAdj: a.oomScore(pod, c)}
	request, limit := c.Resources.Requests.Cpu(), c.Resources.Limits.Cpu()
	shares := request.MilliValue()
	if request.IsZero() && !limit.IsZero() {
		shares = limit.MilliValue()
	}
	out.CpuShares = resources.Shares(shares)
	if a.CPUQuota && !limit.IsZero() {
		out.CpuPeriod = a.CPUPeriod.Microseconds()
		out.CpuQuota = resources.Quota(limit.MilliValue(), out.CpuPeriod)
	}
	out.MemoryLimitInBytes = c.Resources.Limits.Memory().Value()
	for name, q := range c.Resources.Limits {
		if size, ok := hugePageSize(name); ok {
			out.HugepageLimits = append(out.HugepageLimits, &runtimeapi.HugepageLimit{PageSize: size, Limit: uint64(q.Value())})
		}
	}
	if a.UnifiedCgroups {
		out.Unified = map[string]string{}
		if out.MemoryLimitInBytes > 0 && a.GroupOOMKill {
			out.Unified["memory.oom.group"] = "1" // a container dies whole
		}
	}
	return out
}

// oomScore: the more memory a burstable container requests of the node's, the later it ends.
func (a *Actor) oomScore(pod *v1.Pod, c *v1.Container) int64 {
	if pod.Spec.Priority != nil && *pod.Spec.Priority >= 2000000000 {
		return guaranteedOOMScore
	}
	switch resources.QOSClass(pod) {
	case v1.PodQOSGuaranteed:
		return guaranteedOOMScore
	case v1.PodQOSBestEffort:
		return bestEffortOOMScore
	}
	allocatable := a.Allocatable()
	capacity := allocatable.Memory().Value()
	if capacity == 0 {
		return bestEffortOOMScore - 1
	}
	requested := c.Resources.Requests.Memory().Value()
	if requested == 0 {
		podRequests := resource.PodRequests(pod, resource.PodResourcesOptions{})
		requested = podRequests.Memory().Value() / int64(max(1, len(pod.Spec.Containers)))
	}
	score := 1000 - 1000*requested/capacity
	return min(max(score, 1000+guaranteedOOMScore), bestEffortOOMScore-1)
}

// hugePageSize gives the page size that a resource hugepages-<size> stands for, in the kernel's spelling (2MB, 1GB).
func hugePageSize(name v1.ResourceName) (string, bool) {
	text, ok := strings.CutPrefix(string(name), v1.ResourceHugePagesPrefix)
	if !ok {
		return "", false
	}
	return strings.TrimSuffix(text, "i") + "B", true
}
