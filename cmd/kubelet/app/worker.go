package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
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
		w.mu.Lock()
		w.cancel = nil
		w.mu.Unlock()
		cancel()
		if w.removed {
			w.kubelet.forget(w)
			return
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			logger.Info("A pod cannot be brought to what it should be, trying again", "pod", w.name, "reason", err.Error())
			again = min(retryPause<<failures, maxRetryPause)
			failures = min(failures+1, 8)
		} else {
			failures = 0
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
		return 0, w.end(ctx, now, act.Grace(pod), "")
	case w.rejected != nil:
		return 0, w.end(ctx, now, act.Grace(pod), "")
	case ended(pod):
		w.rejected = rejectionOf(pod)
		return 0, w.end(ctx, now, act.Grace(pod), "")
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

// interrupt ends the step that is under way, unless it already ends the pod, and makes the worker look again.
func (w *worker) interrupt() {
	w.mu.Lock()
	if w.cancel != nil && w.grace == nil {
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

// advance plans for a pod that should run and carries the plan out.
func (w *worker) advance(ctx context.Context, pod *v1.Pod, now *observed.Pod) (time.Duration, error) {
	k := w.kubelet
	p := plan.Make(plan.Input{
		Pod: pod, Observed: now, Now: time.Now(),
		Wait: func(c *observed.Container) time.Duration { return k.Backoff.Wait(string(w.uid), c, time.Now()) },
		Unhealthy: func(c *observed.Container) (string, bool) {
			return k.Probes.Unhealthy(w.uid, c.Name, "containerd://"+c.ID)
		},
		Started:  func(c *observed.Container) bool { return k.Probes.Started(w.uid, c.Name) },
		Outdated: outdated(k.Actor, pod),
	})
	w.noteBackoff(pod, p)
	w.publish(ctx, now, false)
	if p.Nothing() {
		if done(pod, now) {
			return 0, w.clear(ctx, now)
		}
		return p.RetryAfter, nil
	}
	klog.FromContext(ctx).V(2).Info("Plan", "pod", klog.KObj(pod), "plan", p.String())
	err := w.carryOut(ctx, pod, now, p)
	if after, observeErr := k.Runtime.Pod(ctx, w.uid); observeErr == nil {
		w.publish(ctx, after, false)
		if err == nil && ctx.Err() == nil {
			w.again() // the next plan follows at once: another container may be due
		}
	}
	return p.RetryAfter, err
}

func (w *worker) again() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// done reports that every container of a pod without restarts has ended.
func done(pod *v1.Pod, now *observed.Pod) bool {
	if pod.Spec.RestartPolicy == v1.RestartPolicyAlways || now.AnyRunning() || len(now.Containers) == 0 {
		return false
	}
	sandbox := now.Sandbox()
	return sandbox == nil || !sandbox.Ready
}

func (w *worker) noteBackoff(pod *v1.Pod, p plan.Plan) {
	for name, waiting := range w.waiting {
		if _, still := p.BackingOff[name]; !still && waiting.Reason == "CrashLoopBackOff" {
			delete(w.waiting, name)
		}
	}
	for name, wait := range p.BackingOff {
		if w.waiting[name].Reason != "CrashLoopBackOff" {
			w.kubelet.Recorder.Eventf(containerReference(pod, name), v1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", name, pod.Name, pod.Namespace, pod.UID)
		}
		w.waiting[name] = status.Waiting{Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %v restarting failed container=%s pod=%s_%s(%s)", wait.Round(time.Second), name, pod.Name, pod.Namespace, pod.UID)}
	}
}

// carryOut does what the plan says, in its order.
func (w *worker) carryOut(ctx context.Context, pod *v1.Pod, now *observed.Pod, p plan.Plan) error {
	k := w.kubelet
	view := w.view(pod, now)
	if p.KillPod {
		if err := k.Actor.KillPod(ctx, view, now, act.Grace(pod), ""); err != nil {
			return err
		}
		if !p.CreateSandbox {
			return nil
		}
	}
	for _, kill := range p.Kill {
		grace := act.Grace(pod)
		if kill.Failed {
			grace = act.ProbeGrace(pod, kill.Container.Name)
		}
		if err := k.Actor.Kill(ctx, view, kill.Container, kill.Reason, grace); err != nil {
			return err
		}
	}
	err := w.resizeContainers(view, p.Resize, func(pod *v1.Pod, r plan.Resize) error {
		return k.Actor.UpdateResources(ctx, pod, r.Spec, r.Container.ID)
	})
	if err != nil || (len(p.Start) == 0 && !p.CreateSandbox) {
		return err
	}
	if err := k.Cgroups.Ensure(pod); err != nil {
		k.Recorder.Eventf(pod, v1.EventTypeWarning, "FailedToCreatePodContainer", "unable to ensure pod container exists: %v", err)
		return err
	}
	volumes, err := k.Volumes.Setup(ctx, pod)
	if err != nil {
		if ctx.Err() == nil {
			k.Recorder.Eventf(pod, v1.EventTypeWarning, "FailedMount", "%v", err)
		}
		return err
	}
	return w.start(ctx, pod, p, volumes)
}

// start makes the sandbox when it is missing, and starts the containers that are due.
func (w *worker) start(ctx context.Context, pod *v1.Pod, p plan.Plan, volumes map[string]act.Volume) error {
	k := w.kubelet
	if p.CreateSandbox {
		id, err := k.Actor.CreateSandbox(ctx, pod, p.Attempt)
		if err != nil {
			return err
		}
		p.SandboxID = id
	}
	now, err := k.Runtime.Pod(ctx, w.uid)
	if err != nil {
		return err
	}
	sandbox, err := k.Actor.SandboxConfig(pod, p.Attempt)
	if err != nil {
		return err
	}
	if s := now.Sandbox(); s != nil {
		sandbox.Metadata.Attempt = s.Attempt
	}
	w.publish(ctx, now, false)
	env := act.Environment{Pod: w.view(pod, now), SandboxID: p.SandboxID, Sandbox: sandbox, Volumes: volumes}
	var errs []error
	for _, s := range p.Start {
		if s.Attempt > 0 {
			k.Backoff.Restarted(string(w.uid), s.Container.Name)
		}
		env.TargetID = targetOf(pod, s, now)
		err := k.Actor.Start(ctx, env, s)
		var failure *act.Failure
		if errors.As(err, &failure) {
			w.waiting[s.Container.Name] = status.Waiting{Reason: failure.Reason, Message: failure.Error()}
		} else if err == nil {
			delete(w.waiting, s.Container.Name)
		}
		if err != nil {
			errs = append(errs, err)
			if s.Kind == plan.Init {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// targetOf is the running container whose processes an ephemeral one sees.
func targetOf(pod *v1.Pod, s plan.Start, now *observed.Pod) string {
	if s.Kind != plan.Ephemeral {
		return ""
	}
	for _, e := range pod.Spec.EphemeralContainers {
		if e.Name == s.Container.Name && e.TargetContainerName != "" {
			if c := now.Newest(e.TargetContainerName); c != nil && c.Running() {
				return c.ID
			}
		}
	}
	return ""
}

// view is the pod with its addresses.
func (w *worker) view(pod *v1.Pod, now *observed.Pod) fields.Pod {
	v := fields.Pod{Pod: pod, HostIPs: w.kubelet.HostIPs()}
	if pod.Spec.HostNetwork {
		v.PodIPs = v.HostIPs
	} else if s := now.Sandbox(); s != nil {
		v.PodIPs = s.IPs
	}
	return v
}

// publish makes the pod's status known to the API and to the probes.
func (w *worker) publish(ctx context.Context, now *observed.Pod, final bool) {
	k := w.kubelet
	pod := w.pod
	if last, ok := k.Status.Get(w.uid); ok {
		known := pod.DeepCopy()
		known.Status.ContainerStatuses, known.Status.InitContainerStatuses, known.Status.EphemeralContainerStatuses = last.ContainerStatuses, last.InitContainerStatuses, last.EphemeralContainerStatuses
		known.Status.StartTime, known.Status.PodIPs, known.Status.Phase = last.StartTime, last.PodIPs, last.Phase
		known.Status.Conditions = mergeConditions(pod.Status.Conditions, last.Conditions)
		pod = known
	}
	in := status.Input{
		Pod: pod, Observed: now, HostIPs: k.HostIPs(), Now: time.Now(), Waiting: w.waiting, Rejected: w.rejected, Resize: w.resize,
		Ending:  w.pod.DeletionTimestamp != nil || w.rejected != nil,
		Ready:   func(c string) bool { ready, known := k.Probes.Ready(w.uid, c); return ready || !known },
		Started: func(c string) bool { return k.Probes.Started(w.uid, c) },
	}
	s := status.Generate(in)
	all := append(append([]v1.ContainerStatus{}, s.InitContainerStatuses...), s.ContainerStatuses...)
	if k.Probes.Observe(w.uid, all, s.PodIP) {
		s = status.Generate(in) // a container without probes is ready as soon as it runs
	}
	k.Status.Set(k.ctx, w.pod, s, final)
}

// mergeConditions takes the newest of this kubelet's conditions, and of others' what the API has.
func mergeConditions(api, mine []v1.PodCondition) []v1.PodCondition {
	out := append([]v1.PodCondition{}, mine...)
	for i := range out {
		for _, a := range api {
			if a.Type == out[i].Type && a.LastTransitionTime.After(out[i].LastTransitionTime.Time) {
				out[i] = a
			}
		}
	}
	for _, a := range api {
		found := false
		for _, m := range mine {
			found = found || m.Type == a.Type
		}
		if !found {
			out = append(out, a)
		}
	}
	return out
}

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
		if err := k.Actor.KillPod(ctx, w.view(w.pod, now), now, grace, reason); err != nil {
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
	w.committed(act.Grace(w.pod))
	if now.AnyRunning() || (now.Sandbox() != nil && now.Sandbox().Ready) {
		grace := act.Grace(w.pod)
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
