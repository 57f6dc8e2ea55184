package devicetaint

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/reconcile"
)

// evict announces the disruption, then deletes the pod.
func (c *Controller) evict(ctx context.Context, pod *v1.Pod, plan Eviction) error {
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"status":{"conditions":[{"type":"DisruptionTarget","status":"True","reason":"DeletionByDeviceTaintManager","message":"Device Taint manager: deleting due to NoExecute taint","lastTransitionTime":%q}]}}`,
		pod.UID, c.clock.Now().UTC().Format(time.RFC3339))
	if _, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return reconcile.IgnoreNotFound(err)
	}
	if err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}); err != nil {
		return reconcile.IgnoreNotFound(err)
	}
	c.podLoop.Deleted(c.podInf, reconcile.KeyOf(pod), pod)
	c.recorder.Event(pod, v1.EventTypeNormal, "DeviceTaintManagerEviction", "Marking for deletion")
	klog.FromContext(ctx).V(2).Info("Evicted from a tainted device", "pod", klog.KObj(pod))
	c.mu.Lock()
	defer c.mu.Unlock()
	for rule := range plan.Rules {
		c.evicted[rule]++
	}
	return nil
}

// report writes a rule's condition where it differs.
func (c *Controller) report(ctx context.Context, rule *resourcev1.DeviceTaintRule) error {
	var failure error
	next := condition(rule, apimeta.FindStatusCondition(rule.Status.Conditions, resourcev1.DeviceTaintConditionEvictionInProgress), func() Census {
		census, err := c.census(rule)
		failure = err
		return census
	})
	if next == nil || failure != nil {
		return failure
	}
	update := rule.DeepCopy()
	next.LastTransitionTime = metav1.NewTime(c.clock.Now())
	apimeta.SetStatusCondition(&update.Status.Conditions, *next)
	written, err := c.client.ResourceV1().DeviceTaintRules().UpdateStatus(ctx, update, metav1.UpdateOptions{})
	if err != nil {
		return reconcile.IgnoreNotFound(err)
	}
	c.ruleLoop.Wrote(c.ruleInf, reconcile.KeyOf(rule), written)
	return nil
}

// census counts what a rule is about, as if its effect was NoExecute.
func (c *Controller) census(rule *resourcev1.DeviceTaintRule) (Census, error) {
	n := Census{}
	for _, pool := range c.sliceInf.GetIndexer().ListIndexFuncValues(slicesByPool) {
		found, err := c.sliceInf.GetIndexer().ByIndex(slicesByPool, pool)
		if err != nil || len(found) == 0 {
			continue
		}
		slice, ok := found[0].(*resourcev1.ResourceSlice)
		if !ok {
			continue
		}
		for _, device := range c.devices(slice.Spec.Driver, slice.Spec.Pool.Name) {
			if Selects(rule, slice.Spec.Driver, slice.Spec.Pool.Name, device.Name) {
				n.Published++
			}
		}
	}
	claims, err := c.claims.List(labels.Everything())
	if err != nil {
		return n, err
	}
	for _, claim := range claims {
		if claim.Status.Allocation == nil {
			continue
		}
		for _, r := range claim.Status.Allocation.Devices.Results {
			if Selects(rule, r.Driver, r.Pool, r.Device) {
				n.Allocated++
			}
		}
	}
	would := rule.DeepCopy()
	would.Spec.Taint.Effect = resourcev1.DeviceTaintEffectNoExecute
	alone := func(r *resourcev1.DeviceRequestAllocationResult) []Taint {
		if !Selects(would, r.Driver, r.Pool, r.Device) {
			return nil
		}
		return []Taint{{would.Spec.Taint, would}}
	}
	pods, err := c.pods.List(labels.Everything())
	if err != nil {
		return n, err
	}
	namespaces := map[string]bool{}
	for _, pod := range pods {
		if usesDevices(pod) && !done(pod) && PlanPod(c.claimsOf(pod), alone, c.clock.Now()).Due {
			n.Pods++
			namespaces[pod.Namespace] = true
		}
	}
	n.Namespaces = len(namespaces)
	c.mu.Lock()
	defer c.mu.Unlock()
	n.Evicted = c.evicted[rule.UID]
	return n, nil
}

// done pods are not counted as pending; one in its grace period is.
func done(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}
