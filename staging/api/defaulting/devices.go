package defaulting

import (
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ResourceClaim fills a claim for devices.
func ResourceClaim(c *resourcev1.ResourceClaim) {
	deviceClaim(&c.Spec.Devices)
	if c.Status.Allocation != nil {
		for i := range c.Status.Allocation.Devices.Results {
			deviceTolerations(c.Status.Allocation.Devices.Results[i].Tolerations)
		}
	}
}

// ResourceClaimTemplate fills the claim that a template makes.
func ResourceClaimTemplate(t *resourcev1.ResourceClaimTemplate) { deviceClaim(&t.Spec.Spec.Devices) }

func deviceClaim(c *resourcev1.DeviceClaim) {
	for i := range c.Requests {
		if e := c.Requests[i].Exactly; e != nil {
			allocationMode(&e.AllocationMode, &e.Count)
			deviceTolerations(e.Tolerations)
		}
		for j := range c.Requests[i].FirstAvailable {
			sub := &c.Requests[i].FirstAvailable[j]
			allocationMode(&sub.AllocationMode, &sub.Count)
			deviceTolerations(sub.Tolerations)
		}
	}
}

func allocationMode(mode *resourcev1.DeviceAllocationMode, count *int64) {
	value(mode, resourcev1.DeviceAllocationModeExactCount)
	if *mode == resourcev1.DeviceAllocationModeExactCount {
		value(count, 1)
	}
}

func deviceTolerations(list []resourcev1.DeviceToleration) {
	for i := range list {
		value(&list[i].Operator, resourcev1.DeviceTolerationOpEqual)
	}
}

// ResourceSlice dates the taints of devices.
func ResourceSlice(s *resourcev1.ResourceSlice) {
	for i := range s.Spec.Devices {
		for j := range s.Spec.Devices[i].Taints {
			taintTime(&s.Spec.Devices[i].Taints[j])
		}
	}
}

// DeviceTaintRule dates the taint of a rule.
func DeviceTaintRule(r *resourcev1.DeviceTaintRule) { taintTime(&r.Spec.Taint) }

// taintTime is in whole seconds, so that the time survives being stored.
func taintTime(t *resourcev1.DeviceTaint) {
	if t.TimeAdded == nil {
		t.TimeAdded = &metav1.Time{Time: time.Now().Truncate(time.Second)}
	}
}
