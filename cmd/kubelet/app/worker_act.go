package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
	"pilotis.dev/cmd/kubelet/status"
)

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
		if done(now) {
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

// done reports that a pod for which nothing is planned has run its course: one that goes on has a sandbox.
func done(now *observed.Pod) bool {
	if now.AnyRunning() || len(now.Containers) == 0 {
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
	for name := range p.BackingOff {
		if w.waiting[name].Reason != "CrashLoopBackOff" {
			w.kubelet.Recorder.Eventf(containerReference(pod, name), v1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", name, pod.Name, pod.Namespace, pod.UID)
		}
		period := w.kubelet.Backoff.Period(string(w.uid), name)
		w.waiting[name] = status.Waiting{Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %v restarting failed container=%s pod=%s_%s(%s)", period, name, pod.Name, pod.Namespace, pod.UID)}
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
			grace = act.ProbeGrace(pod, kill.Container.Name, k.Probes.Started(w.uid, kill.Container.Name))
		}
		if err := k.Actor.Kill(ctx, view, kill.Container, kill.Reason, grace); err != nil {
			return err
		}
	}
	for _, c := range p.EndRound {
		if err := k.Actor.Kill(ctx, view, c, "All containers of the pod start anew", 0); err != nil {
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
