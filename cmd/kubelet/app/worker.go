package app

import (
	"context"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/status"
)

// retryPause follows a step that failed; it doubles while steps fail.
const (
	retryPause    = 100 * time.Millisecond
	maxRetryPause = 16 * time.Second
)

// worker brings one pod to what it should be. It alone touches the pod's containers.
type worker struct {
	kubelet *Kubelet
	uid     types.UID
	kick    chan struct{}

	// Guarded by mu: what wake tells a step that is under way.
	mu     sync.Mutex
	cancel context.CancelFunc
	grace  *int64 // of the deletion that is being carried out; nil: none

	// The worker's own; others read name, begun, blockedBy, admitted and cleared under the kubelet's lock.
	name      types.NamespacedName
	begun     bool
	blockedBy types.UID
	pod       *v1.Pod // as last desired
	admitted  bool
	rejected  *status.Rejection
	waiting   map[string]status.Waiting
	cleared   bool // volumes and cgroup of the ended pod are gone
	removed   bool
	resize    status.Resize
	// evicted is why the node ends the pod, evictionGrace how long it may take; guarded by the kubelet's lock.
	evicted       *status.Rejection
	evictionGrace time.Duration
	postponed     bool // a resize waits for room; guarded by the kubelet's lock
}

// wake makes the worker look again. A deletion, or one with less grace, does not wait for what is under way.
func (w *worker) wake(pod *v1.Pod) {
	w.mu.Lock()
	ending := pod == nil || pod.DeletionTimestamp != nil
	if w.cancel != nil && ending {
		var grace *int64
		if pod != nil {
			grace = pod.DeletionGracePeriodSeconds
		}
		if w.grace == nil || (grace != nil && *grace < *w.grace) {
			w.cancel()
		}
	}
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// run looks whenever something happened, until the pod is gone.
func (w *worker) run(ctx context.Context) {
	logger := klog.FromContext(ctx).WithValues("podUID", w.uid)
	timer := time.NewTimer(time.Hour)
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.kick:
		case <-timer.C:
		}
		stepCtx, cancel := context.WithCancel(klog.NewContext(ctx, logger))
		w.mu.Lock()
		w.cancel, w.grace = cancel, nil
		w.mu.Unlock()
		again, err := w.step(stepCtx)
		interrupted := stepCtx.Err() != nil // the runtime's errors do not say it
		w.mu.Lock()
		w.cancel = nil
		w.mu.Unlock()
		cancel()
		if w.removed {
			w.kubelet.forget(w)
			return
		}
		if err != nil && !interrupted {
			logger.Info("A pod cannot be brought to what it should be, trying again", "pod", w.name, "reason", err.Error())
			again = min(retryPause<<failures, maxRetryPause)
			failures = min(failures+1, 8)
		} else {
			failures = 0
		}
		if again == 0 {
			again = w.kubelet.SyncEvery
		}
		if again > 0 {
			timer.Reset(again)
		}
	}
}

// step observes the pod, plans, and acts once. It returns when to look again although nothing happens; 0: never.
func (w *worker) step(ctx context.Context) (time.Duration, error) {
	k := w.kubelet
	told := k.Desired.AllReady() // before the pod is looked up: what is missing then is not wanted
	pod := k.Desired.Get(w.uid)
	now, err := k.Runtime.Pod(ctx, w.uid)
	if err != nil {
		return 0, err
	}
	if pod == nil {
		return w.remove(ctx, now, told)
	}
	w.adopt(pod)
	if evicted, grace := w.eviction(); evicted != nil && pod.DeletionTimestamp == nil && !ended(pod) {
		w.rejected = evicted
		return 0, w.end(ctx, now, grace, evicted.Message)
	}
	switch {
	case pod.DeletionTimestamp != nil:
		return 0, w.end(ctx, now, w.graceFor(pod), "")
	case w.rejected != nil:
		return 0, w.end(ctx, now, w.graceFor(pod), "")
	case ended(pod):
		w.rejected = rejectionOf(pod)
		return 0, w.end(ctx, now, w.graceFor(pod), "")
	}
	if len(now.Sandboxes) == 0 {
		by, err := w.waitsFor(ctx, pod)
		if err != nil {
			return 0, err
		}
		if by != "" {
			w.block(by)
			return time.Second, nil
		}
	}
	w.block("")
	if !w.admitted && !desired.IsStatic(pod) && k.Client != nil && k.NodeObject() == nil {
		return time.Second, nil // the node's labels and taints decide; the API has not told them yet
	}
	if left, limited := deadline(pod); limited && left <= 0 {
		w.rejected = &status.Rejection{Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline"}
		k.Recorder.Event(pod, v1.EventTypeNormal, "DeadlineExceeded", w.rejected.Message)
		return 0, w.end(ctx, now, act.Grace(pod), "")
	}
	if rejection := w.admit(pod, now); rejection != nil {
		w.rejected = rejection
		k.Recorder.Event(pod, v1.EventTypeWarning, rejection.Reason, rejection.Message)
		return 0, w.end(ctx, now, 0, "")
	}
	if desired.IsStatic(pod) {
		if err := k.ensureMirror(ctx, pod); err != nil {
			klog.FromContext(ctx).Info("The mirror of a static pod cannot be made yet", "pod", klog.KObj(pod), "reason", err.Error())
		}
	}
	if pod, err = w.allocate(pod); err != nil {
		return 0, err
	}
	w.pod = pod
	k.Objects.Use(pod)
	k.Probes.AddPod(pod)
	again, err := w.advance(ctx, pod, now)
	if left, limited := deadline(pod); limited && (again == 0 || left < again) {
		again = left
	}
	return again, err
}

// waitsFor is the pod of the same name that must be gone before this one begins.
func (w *worker) waitsFor(ctx context.Context, pod *v1.Pod) (types.UID, error) {
	if by := w.kubelet.predecessor(pod); by != "" {
		return by, nil
	}
	by, err := w.kubelet.namesake(ctx, pod)
	if by != "" {
		w.kubelet.Wake(by)
	}
	return by, err
}

func (w *worker) eviction() (*status.Rejection, time.Duration) {
	w.kubelet.mu.Lock()
	defer w.kubelet.mu.Unlock()
	return w.evicted, w.evictionGrace
}

// graceFor is how long the pod may take to end. The node does not wait longer than an eviction grants for one that it evicts
// while it ends anyway.
func (w *worker) graceFor(pod *v1.Pod) time.Duration {
	if evicted, grace := w.eviction(); evicted != nil {
		return min(grace, act.Grace(pod))
	}
	return act.Grace(pod)
}

// interrupt ends the step that is under way, unless it already ends the pod with as little grace, and makes the worker look again.
func (w *worker) interrupt(grace time.Duration) {
	w.mu.Lock()
	if w.cancel != nil && (w.grace == nil || *w.grace > int64(grace/time.Second)) {
		w.cancel()
	}
	w.mu.Unlock()
	w.again()
}

func (w *worker) adopt(pod *v1.Pod) {
	w.pod = pod
	w.kubelet.mu.Lock()
	w.name = types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	w.kubelet.mu.Unlock()
}

func (w *worker) block(by types.UID) {
	w.kubelet.mu.Lock()
	w.blockedBy = by
	w.begun = w.begun || by == ""
	w.kubelet.mu.Unlock()
}

// ended reports that the API knows the pod as finished.
func ended(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodFailed || pod.Status.Phase == v1.PodSucceeded
}

func rejectionOf(pod *v1.Pod) *status.Rejection {
	if pod.Status.Phase == v1.PodFailed && pod.Status.Reason != "" {
		return &status.Rejection{Reason: pod.Status.Reason, Message: pod.Status.Message}
	}
	return nil
}

// deadline is what is left of spec.activeDeadlineSeconds.
func deadline(pod *v1.Pod) (time.Duration, bool) {
	if pod.Spec.ActiveDeadlineSeconds == nil || pod.Status.StartTime == nil {
		return 0, false
	}
	end := pod.Status.StartTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second)
	return time.Until(end), true
}
