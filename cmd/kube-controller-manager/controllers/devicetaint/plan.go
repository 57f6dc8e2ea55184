package devicetaint

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/utils/ptr"
)

// Taint is one of a device; Rule is the DeviceTaintRule it comes from, nil when the driver set it.
type Taint struct {
	resourcev1.DeviceTaint
	Rule *resourcev1.DeviceTaintRule
}

// Eviction is what the taints of a pod's devices come to; the zero value lets it stay for good.
type Eviction struct {
	// Due tells whether the pod has to go, after Left.
	Due  bool
	Left time.Duration
	// Rules are the UIDs of rules without which the pod could stay, or stay longer.
	Rules map[types.UID]bool
}

// PlanPod decides how long a pod may stay that uses the claims: as long as the shortest toleration of a NoExecute taint on one of its
// devices, counted from when the taint came; not at all when one is not tolerated.
func PlanPod(claims []*resourcev1.ResourceClaim, taints func(*resourcev1.DeviceRequestAllocationResult) []Taint, now time.Time) Eviction {
	plan := Eviction{Rules: map[types.UID]bool{}}
	for _, claim := range claims {
		if claim.Status.Allocation == nil {
			continue
		}
		for i := range claim.Status.Allocation.Devices.Results {
			device := &claim.Status.Allocation.Devices.Results[i]
			for _, taint := range taints(device) {
				plan.count(device.Tolerations, taint, now)
			}
		}
	}
	return plan
}

func (e *Eviction) count(tolerations []resourcev1.DeviceToleration, taint Taint, now time.Time) {
	if taint.Effect != resourcev1.DeviceTaintEffectNoExecute {
		return
	}
	tolerated, limit := tolerance(tolerations, taint.DeviceTaint)
	if tolerated && limit == nil {
		return
	}
	left := time.Duration(0)
	if tolerated {
		left = max(0, ptr.Deref(taint.TimeAdded, metav1.Time{}).Add(time.Duration(max(0, *limit))*time.Second).Sub(now))
	}
	if !e.Due || left < e.Left {
		e.Left = left
	}
	e.Due = true
	if taint.Rule != nil {
		e.Rules[taint.Rule.UID] = true
	}
}

// tolerance tells whether a taint is tolerated, and for how many seconds at most; nil: for good.
func tolerance(tolerations []resourcev1.DeviceToleration, taint resourcev1.DeviceTaint) (tolerated bool, limit *int64) {
	for _, t := range tolerations {
		if !resourceclaim.ToleratesTaint(t, taint) {
			continue
		}
		tolerated = true
		if t.TolerationSeconds != nil && (limit == nil || *t.TolerationSeconds < *limit) {
			limit = t.TolerationSeconds
		}
	}
	return tolerated, limit
}

// Selects tells whether a rule is about the device. A rule without a selector is about none, an empty selector about all.
func Selects(rule *resourcev1.DeviceTaintRule, driver, pool, device string) bool {
	s := rule.Spec.DeviceSelector
	return s != nil && (s.Driver == nil || *s.Driver == driver) && (s.Pool == nil || *s.Pool == pool) && (s.Device == nil || *s.Device == device)
}

// Census is what a rule is about at a moment.
type Census struct {
	// Published and Allocated count devices, Pods and Namespaces what is to be evicted, or would be.
	Published, Allocated, Pods, Namespaces int
	// Evicted counts the pods that this process deleted because of the rule.
	Evicted int
}

// condition is what a rule's status says; nil: nothing new. Rules that evict nobody are told about once for each change of their spec.
func condition(rule *resourcev1.DeviceTaintRule, have *metav1.Condition, count func() Census) *metav1.Condition {
	c := &metav1.Condition{Type: resourcev1.DeviceTaintConditionEvictionInProgress, Status: metav1.ConditionFalse, ObservedGeneration: rule.Generation}
	if rule.Spec.Taint.Effect != resourcev1.DeviceTaintEffectNoExecute {
		if have != nil && have.ObservedGeneration == rule.Generation {
			return nil
		}
		c.Reason = "NoEffect"
		n := count()
		c.Message = fmt.Sprintf("%s selected. %s selected. %s would be evicted in %s if the effect was NoExecute. This information will not be updated again. Recreate the DeviceTaintRule to trigger an update.",
			some(n.Published, "published device"), some(n.Allocated, "allocated device"), some(n.Pods, "pod"), some(n.Namespaces, "namespace"))
		return c
	}
	n := count()
	if n.Pods > 0 {
		c.Status, c.Reason = metav1.ConditionTrue, "PodsPendingEviction"
		verb := "need"
		if n.Pods == 1 {
			verb = "needs"
		}
		c.Message = fmt.Sprintf("%s still %s to be evicted from %s. ", some(n.Pods, "pod"), verb, some(n.Namespaces, "namespace"))
	} else {
		c.Reason = "Completed"
	}
	c.Message += some(n.Evicted, "pod") + " evicted since starting the controller."
	if have != nil && have.Status == c.Status && have.Reason == c.Reason && have.Message == c.Message && have.ObservedGeneration == c.ObservedGeneration {
		return nil
	}
	return c
}

func some(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ended tells whether a pod is gone as far as its devices are concerned, or on its way.
func ended(pod *v1.Pod) bool {
	return pod.DeletionTimestamp != nil || pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}
