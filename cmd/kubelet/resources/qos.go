// Package resources divides the node's processors and memory between pods: QoS classes and cgroups.
package resources

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// QOSClass is the pod's quality of service: Guaranteed when every container has CPU and memory limits that its requests
// equal, BestEffort when none has any, else Burstable (documentation of pod QoS).
func QOSClass(pod *v1.Pod) v1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	var containers []v1.Container
	containers = append(append(containers, pod.Spec.Containers...), pod.Spec.InitContainers...)
	any, guaranteed := false, true
	if pod.Spec.Resources != nil {
		containers = []v1.Container{{Resources: *pod.Spec.Resources}}
	}
	for _, c := range containers {
		for _, name := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory} {
			request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
			any = any || !request.IsZero() || !limit.IsZero()
			guaranteed = guaranteed && !limit.IsZero() && (request.IsZero() || request.Cmp(limit) == 0)
		}
	}
	switch {
	case !any:
		return v1.PodQOSBestEffort
	case guaranteed:
		return v1.PodQOSGuaranteed
	}
	return v1.PodQOSBurstable
}

// Limits of the kernel's CPU settings.
const (
	minShares = 2
	maxShares = 262144
	minQuota  = 1000 // microseconds
)

// Shares are the CPU shares (cgroup v1; the runtime converts them to a v2 weight) of thousandths of a core.
func Shares(milliCPU int64) int64 {
	if milliCPU == 0 {
		return minShares
	}
	return min(max(milliCPU*1024/1000, minShares), maxShares)
}

// Quota is the CPU time, in microseconds, of thousandths of a core in a period.
func Quota(milliCPU, period int64) int64 {
	if milliCPU == 0 {
		return 0
	}
	return max(milliCPU*period/1000, minQuota)
}

// Sum adds a resource over a pod's regular containers.
func Sum(pod *v1.Pod, name v1.ResourceName, of func(v1.ResourceRequirements) v1.ResourceList) resource.Quantity {
	var sum resource.Quantity
	for _, c := range pod.Spec.Containers {
		sum.Add(of(c.Resources)[name])
	}
	return sum
}
