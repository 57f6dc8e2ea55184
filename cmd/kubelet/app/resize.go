package app

import (
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"

	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
	"pilotis.dev/cmd/kubelet/resources"
	"pilotis.dev/cmd/kubelet/status"
)

// allocate gives the pod as it may run now: with what it was admitted with while a resize does not fit (KEP-1287).
func (w *worker) allocate(pod *v1.Pod) (*v1.Pod, error) {
	k := w.kubelet
	w.resize = status.Resize{}
	w.postpone(false)
	if desired.IsStatic(pod) {
		return pod, nil // a changed manifest is another pod
	}
	want := resources.Wanted(pod)
	have, ok := k.Allocations.Get(w.uid)
	if !ok {
		return pod, k.Allocations.Set(w.uid, want)
	}
	if equality.Semantic.DeepEqual(have, want) {
		return pod, nil
	}
	if resources.QOSClass(have.With(pod)) != resources.QOSClass(pod) {
		w.resize = status.Resize{Pending: v1.PodReasonInfeasible, Message: "Pod QoS is immutable"}
		return have.With(pod), nil
	}
	for name, q := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		if capacity, known := k.Allocatable()[name]; known && q.Cmp(capacity) > 0 {
			w.resize = status.Resize{Pending: v1.PodReasonInfeasible, Message: fmt.Sprintf("Node didn't have enough capacity: %s, requested: %d, capacity: %d", name, amount(name, q.MilliValue()), amount(name, capacity.MilliValue()))}
			return have.With(pod), nil
		}
	}
	k.admission.Lock()
	defer k.admission.Unlock()
	if lack := k.lacking(pod); lack != nil {
		w.resize = status.Resize{Pending: v1.PodReasonDeferred, Message: lack.Message}
		w.postpone(true)
		return have.With(pod), nil
	}
	return pod, k.Allocations.Set(w.uid, want)
}

// postpone notes that a resize waits for room.
func (w *worker) postpone(waits bool) {
	w.kubelet.mu.Lock()
	w.postponed = waits
	w.kubelet.mu.Unlock()
}

// wakePostponed looks again at resizes that wait for room: a pod has left.
func (k *Kubelet) wakePostponed() {
	k.mu.Lock()
	var uids []types.UID
	for uid, w := range k.workers {
		if w.postponed {
			uids = append(uids, uid)
		}
	}
	k.mu.Unlock()
	for _, uid := range uids {
		k.Wake(uid)
	}
}

// resizeContainers gives running containers their new limits: the pod's cgroup grows before them and shrinks after
// them.
func (w *worker) resizeContainers(env fields.Pod, list []plan.Resize, update func(pod *v1.Pod, r plan.Resize) error) error {
	if len(list) == 0 {
		return nil
	}
	k := w.kubelet
	growing := k.Cgroups.Ensure(env.Pod)
	var errs []error
	for _, r := range list {
		if err := update(env.Pod, r); err != nil {
			errs = append(errs, fmt.Errorf("resizing container %s: %w", r.Spec.Name, err))
		}
	}
	if growing != nil {
		errs = append(errs, k.Cgroups.Ensure(env.Pod))
	}
	err := errors.Join(errs...)
	if err != nil {
		w.resize.Error = err.Error()
		k.Recorder.Eventf(env.Pod, v1.EventTypeWarning, "ResizeError", "%v", err)
	} else {
		k.Recorder.Event(env.Pod, v1.EventTypeNormal, "ResizeCompleted", "Pod resize completed")
		k.shareOut()
	}
	return err
}

// outdated compares what the container runs with to what its specification asks for.
func outdated(a *act.Actor, pod *v1.Pod) func(*v1.Container, *observed.Container) (cpu, memory bool) {
	return func(c *v1.Container, now *observed.Container) (cpu, memory bool) {
		actual := now.Resources.GetLinux()
		if actual == nil {
			return false, false
		}
		want := a.Resources(pod, c)
		// A runtime that does not tell the CPU share, which is never 0, says 0. So does one without a limit of memory.
		cpu = actual.CpuShares != 0 && (actual.CpuShares != want.CpuShares || max(actual.CpuQuota, 0) != max(want.CpuQuota, 0))
		told := actual.CpuShares != 0 || actual.MemoryLimitInBytes > 0
		memory = told && want.MemoryLimitInBytes > 0 && actual.MemoryLimitInBytes != want.MemoryLimitInBytes
		return cpu, memory
	}
}
