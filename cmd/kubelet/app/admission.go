package app

import (
	"fmt"
	"os"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/resources"
	"pilotis.dev/cmd/kubelet/status"
)

// admit decides once whether the node takes a pod that was bound to it. A pod that has run here before a restart of the
// kubelet stays.
func (w *worker) admit(pod *v1.Pod, now *observed.Pod) *status.Rejection {
	if w.admitted {
		return nil
	}
	w.kubelet.admission.Lock()
	defer w.kubelet.admission.Unlock()
	if len(now.Sandboxes) == 0 && len(now.Containers) == 0 {
		if r := w.kubelet.refuse(pod); r != nil {
			return r
		}
	}
	w.kubelet.mu.Lock()
	w.admitted = true
	w.kubelet.mu.Unlock()
	w.kubelet.shareOut()
	return nil
}

// refuse tells why the node cannot run the pod; nil: it can.
func (k *Kubelet) refuse(pod *v1.Pod) *status.Rejection {
	node := k.NodeObject()
	if pod.Spec.OS != nil && pod.Spec.OS.Name != v1.Linux {
		return &status.Rejection{Reason: "PodOSNotSupported", Message: "Failed to admit pod as the OS field doesn't match node OS"}
	}
	if node != nil && !desired.IsStatic(pod) {
		if ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); !ok || err != nil {
			return &status.Rejection{Reason: "NodeAffinity", Message: "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"}
		}
		_, untolerated := corev1.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, pod.Spec.Tolerations, func(t *v1.Taint) bool { return t.Effect == v1.TaintEffectNoExecute }, true)
		if untolerated {
			return &status.Rejection{Reason: "TaintToleration", Message: "Pod was rejected: Predicate TaintToleration failed"}
		}
	}
	if k.Pressure != nil {
		if why := k.Pressure(pod); why != "" {
			return &status.Rejection{Reason: "Evicted", Message: "Pod was rejected: " + why}
		}
	}
	if err := resources.CheckSysctls(pod, append(resources.SafeSysctls(), k.UnsafeSysctls...)); err != nil {
		return &status.Rejection{Reason: "SysctlForbidden", Message: err.Error()}
	}
	if usesAppArmor(pod) && !hasAppArmor() {
		return &status.Rejection{Reason: "AppArmor", Message: "Cannot enforce AppArmor: AppArmor is not enabled on the host"}
	}
	if taken := k.portTaken(pod); taken != nil {
		return taken
	}
	return k.lacking(pod)
}

// usesAppArmor reports that the pod asks for a profile, which must not be dropped silently.
func usesAppArmor(pod *v1.Pod) bool {
	asks := func(p *v1.AppArmorProfile) bool { return p != nil && p.Type != v1.AppArmorProfileTypeUnconfined }
	if sc := pod.Spec.SecurityContext; sc != nil && asks(sc.AppArmorProfile) {
		return true
	}
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if sc := list[i].SecurityContext; sc != nil && asks(sc.AppArmorProfile) {
				return true
			}
		}
	}
	return false
}

func hasAppArmor() bool {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && strings.HasPrefix(string(enabled), "Y")
}

// lacking compares the pod's requests with what the admitted pods leave. Critical static pods always fit: the control
// plane must come back on a full node.
func (k *Kubelet) lacking(pod *v1.Pod) *status.Rejection {
	if desired.IsStatic(pod) {
		return nil
	}
	used := v1.ResourceList{}
	count := 0
	for _, other := range k.admittedPods() {
		if other.UID == pod.UID || ended(other) {
			continue
		}
		count++
		for name, q := range resource.PodRequests(other, resource.PodResourcesOptions{}) {
			sum := used[name]
			sum.Add(q)
			used[name] = sum
		}
	}
	if count >= k.MaxPods {
		return &status.Rejection{Reason: "OutOfpods", Message: fmt.Sprintf("Node didn't have enough resource: pods, requested: 1, used: %d, capacity: %d", count, k.MaxPods)}
	}
	allocatable := k.Allocatable()
	for name, q := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		capacity, known := allocatable[name]
		if q.IsZero() || !known { // of what this node has not heard of, the scheduler keeps account
			continue
		}
		total := used[name]
		total.Add(q)
		if total.Cmp(capacity) > 0 {
			inUse := used[name]
			return &status.Rejection{Reason: "OutOf" + string(name), Message: fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, amount(name, q.MilliValue()), amount(name, inUse.MilliValue()), amount(name, capacity.MilliValue()))}
		}
	}
	return nil
}

// amount is thousandths for CPU, whole units else.
func amount(name v1.ResourceName, milli int64) int64 {
	if name == v1.ResourceCPU {
		return milli
	}
	return milli / 1000
}

// shareOut follows the pods that came and went with the CPU share of their class.
func (k *Kubelet) shareOut() {
	k.sharing.Lock()
	defer k.sharing.Unlock()
	if err := k.Cgroups.ShareOut(k.admittedPods()); err != nil {
		klog.Background().Error(err, "The CPU share of burstable pods cannot be set")
	}
}

// admittedPods are those that hold resources, with what they were given. After a restart that includes pods that the API
// knows as running and whose workers have not looked yet.
func (k *Kubelet) admittedPods() []*v1.Pod {
	k.mu.Lock()
	admitted, gone := map[types.UID]bool{}, map[types.UID]bool{}
	for uid, w := range k.workers {
		admitted[uid], gone[uid] = w.admitted, w.cleared
	}
	k.mu.Unlock()
	var pods []*v1.Pod
	for _, p := range k.Desired.Pods() {
		if gone[p.UID] || !(admitted[p.UID] || p.Status.Phase == v1.PodRunning) {
			continue
		}
		if a, ok := k.Allocations.Get(p.UID); ok {
			p = a.With(p)
		}
		pods = append(pods, p)
	}
	return pods
}
