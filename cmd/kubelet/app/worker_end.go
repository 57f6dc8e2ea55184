package app

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/observed"
)

// committed notes that the pod's end is being carried out: only one with less grace interrupts it.
func (w *worker) committed(grace time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seconds := int64(grace / time.Second)
	w.grace = &seconds
}

// end stops what runs of a pod that is to end, and then clears up.
func (w *worker) end(ctx context.Context, now *observed.Pod, grace time.Duration, reason string) error {
	k := w.kubelet
	w.committed(grace)
	k.Probes.StopLiveness(w.uid)
	w.publish(ctx, now, false)
	if now.AnyRunning() || (now.Sandbox() != nil && now.Sandbox().Ready) {
		if err := w.killAndTell(ctx, now, grace, reason); err != nil {
			return err
		}
		var err error
		if now, err = k.Runtime.Pod(ctx, w.uid); err != nil {
			return err
		}
		if now.AnyRunning() {
			return fmt.Errorf("containers still run after they were stopped")
		}
	}
	return w.clear(ctx, now)
}

// killAndTell ends the pod's containers and publishes what becomes of them meanwhile: which have ended, and which still
// serve, for readiness is probed until the end (KEP-1672).
func (w *worker) killAndTell(ctx context.Context, now *observed.Pod, grace time.Duration, reason string) error {
	killed := make(chan error, 1)
	view := w.view(w.pod, now)
	go func() { killed <- w.kubelet.Actor.KillPod(ctx, view, now, grace, reason) }()
	for kicked := false; ; kicked = true {
		select {
		case err := <-killed:
			if kicked {
				w.again() // it may have been about more than the status
			}
			return err
		case <-w.kick:
			if now, err := w.kubelet.Runtime.Pod(ctx, w.uid); err == nil {
				w.publish(ctx, now, false)
			}
		}
	}
}

// clear gives back what a pod without running containers holds, and tells the API that it has ended.
func (w *worker) clear(ctx context.Context, now *observed.Pod) error {
	k := w.kubelet
	if !w.cleared {
		k.Probes.RemovePod(w.uid)
		if err := k.Volumes.Teardown(ctx, w.uid); err != nil {
			return err
		}
		k.Objects.Release(w.uid)
		if err := k.Cgroups.Remove(w.uid); err != nil {
			return err
		}
		w.markCleared()
	}
	w.publish(ctx, now, true)
	return nil
}

func (w *worker) markCleared() {
	w.kubelet.mu.Lock()
	w.cleared = true
	w.kubelet.mu.Unlock()
	w.kubelet.shareOut()
	w.kubelet.wakePostponed()
}

// remove is for a pod that nobody wants any more: its source does not have it.
// told: every source had told its pods when this one was missing.
func (w *worker) remove(ctx context.Context, now *observed.Pod, told bool) (time.Duration, error) {
	k := w.kubelet
	if w.pod == nil {
		if !told && !w.replaced(now) {
			return 0, nil // its source may not have told yet; when it has, everybody is woken
		}
		w.pod = stranger(now)
		w.adopt(w.pod)
	}
	grace := w.graceFor(w.pod)
	w.committed(grace)
	if now.AnyRunning() || (now.Sandbox() != nil && now.Sandbox().Ready) {
		if err := k.Actor.KillPod(ctx, w.view(w.pod, now), now, grace, ""); err != nil {
			return 0, err
		}
		var err error
		if now, err = k.Runtime.Pod(ctx, w.uid); err != nil {
			return 0, err
		}
	}
	if !w.cleared {
		k.Probes.RemovePod(w.uid)
		if err := k.Volumes.Teardown(ctx, w.uid); err != nil {
			return 0, err
		}
		k.Objects.Release(w.uid)
		if err := k.Cgroups.Remove(w.uid); err != nil {
			return 0, err
		}
		w.markCleared()
	}
	if now.Name == "" {
		now.Name, now.Namespace = w.pod.Name, w.pod.Namespace
	}
	if err := k.Actor.RemovePod(ctx, now); err != nil {
		return 0, err
	}
	if err := k.removePodDir(w.uid); err != nil {
		return 0, err
	}
	k.Users.Release(w.uid)
	if err := k.Allocations.Forget(w.uid); err != nil {
		return 0, err
	}
	k.Status.Forget(w.uid)
	k.Backoff.Forget(string(w.uid))
	k.Images.Forget(w.pod)
	if desired.IsStatic(w.pod) {
		k.deleteMirror(ctx, w.pod)
	}
	w.removed = true
	return 0, nil
}

// replaced reports that a manifest of the pod's name is another pod now.
func (w *worker) replaced(now *observed.Pod) bool {
	successor := w.kubelet.Desired.Static(now.Namespace, now.Name)
	return successor != nil && successor.UID != w.uid && w.kubelet.Desired.Get(w.uid) == nil
}

// stranger stands for a pod of which only the runtime knows: what its containers' annotations tell is enough to end it
// as its specification wanted.
func stranger(now *observed.Pod) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: now.UID, Name: now.Name, Namespace: now.Namespace}}
	for _, c := range now.Containers {
		if c.PodGrace != nil {
			pod.Spec.TerminationGracePeriodSeconds = c.PodGrace
		}
		if c.PreStop != nil {
			pod.Spec.Containers = append(pod.Spec.Containers, v1.Container{Name: c.Name, Ports: c.Ports, Lifecycle: &v1.Lifecycle{PreStop: c.PreStop}})
		}
	}
	return pod
}
