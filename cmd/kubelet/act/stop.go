package act

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
)

// minimumGrace is what remains for a container after its preStop hook, or the wait for its turn, took all of the grace
// period.
const minimumGrace = 2 * time.Second

// Kill ends one container: its preStop hook, SIGTERM, and SIGKILL when the grace period is over.
func (a *Actor) Kill(ctx context.Context, pod fields.Pod, c *observed.Container, reason string, grace time.Duration) error {
	atOnce := make(chan struct{})
	close(atOnce)
	return a.killInTurn(ctx, pod, c, reason, grace, atOnce)
}

// killInTurn is Kill for a container whose SIGTERM waits until turn is closed, or for as long as its grace period.
func (a *Actor) killInTurn(ctx context.Context, pod fields.Pod, c *observed.Container, reason string, grace time.Duration, turn <-chan struct{}) error {
	a.containerEvent(pod.Pod, c.Name, v1.EventTypeNormal, "Killing", "%s", reason)
	if grace <= 0 {
		return a.stop(ctx, c.ID, 0)
	}
	deadline := time.Now().Add(grace)
	spec := containerSpec(pod.Pod, c.Name)
	if spec != nil && spec.Lifecycle != nil && spec.Lifecycle.PreStop != nil && c.Running() {
		a.preStop(ctx, pod, spec, c.ID, grace)
	}
	select {
	case <-turn:
	case <-time.After(time.Until(deadline)):
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stopping container %s: %w", c.ID, err)
	}
	return a.stop(ctx, c.ID, max(time.Until(deadline), minimumGrace))
}

func (a *Actor) preStop(ctx context.Context, pod fields.Pod, c *v1.Container, id string, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := a.runHook(ctx, pod, c, id, c.Lifecycle.PreStop); err != nil {
		a.containerEvent(pod.Pod, c.Name, v1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
		klog.FromContext(ctx).Info("A preStop hook failed", "pod", klog.KObj(pod), "container", c.Name, "reason", err.Error())
	}
}

func (a *Actor) stop(ctx context.Context, id string, grace time.Duration) error {
	if err := a.Runtime.StopContainer(ctx, id, int64(grace.Round(time.Second)/time.Second)); err != nil {
		return fmt.Errorf("stopping container %s: %w", id, err)
	}
	return nil
}

// KillPod ends all containers at once, and then the sandboxes. Only the SIGTERM of a sidecar waits: for the regular
// containers, and for the sidecars that began after it (KEP-753).
func (a *Actor) KillPod(ctx context.Context, pod fields.Pod, o *observed.Pod, grace time.Duration, reason string) error {
	if o == nil {
		return nil
	}
	var all errgroup.Group
	turn := make(chan struct{})
	close(turn)
	for _, stage := range stages(pod.Pod, o) {
		mine, next := turn, make(chan struct{})
		var running sync.WaitGroup
		for _, c := range stage {
			running.Add(1)
			all.Go(func() error {
				defer running.Done()
				return a.killInTurn(ctx, pod, c, message(reason, c), grace, mine)
			})
		}
		go func() { running.Wait(); close(next) }()
		turn = next
	}
	if err := all.Wait(); err != nil {
		return err
	}
	for _, s := range o.Sandboxes {
		if err := a.Runtime.StopPodSandbox(ctx, s.ID); err != nil {
			return fmt.Errorf("stopping sandbox %s: %w", s.ID, err)
		}
	}
	return nil
}

// stages are the containers to end in the order of their SIGTERM. None is empty: an empty one would give the turn on
// while those before it still run.
func stages(pod *v1.Pod, o *observed.Pod) [][]*observed.Container {
	turns := map[string]int{}
	for i := len(pod.Spec.InitContainers) - 1; i >= 0; i-- {
		if c := &pod.Spec.InitContainers[i]; plan.IsSidecar(c) {
			turns[c.Name] = len(turns) + 1
		}
	}
	all := make([][]*observed.Container, len(turns)+1)
	for _, c := range o.Containers {
		if !c.Exited() {
			all[turns[c.Name]] = append(all[turns[c.Name]], c)
		}
	}
	return slices.DeleteFunc(all, func(stage []*observed.Container) bool { return len(stage) == 0 })
}

func message(reason string, c *observed.Container) string {
	if reason != "" {
		return reason
	}
	return "Stopping container " + c.Name
}

// Grace is how long the pod's containers may take to end: what the deletion allows, or else the specification.
func Grace(pod *v1.Pod) time.Duration {
	seconds := ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, 30)
	if pod.DeletionGracePeriodSeconds != nil {
		seconds = *pod.DeletionGracePeriodSeconds
	}
	return time.Duration(seconds) * time.Second
}

// ProbeGrace is Grace for a container that a probe failed, which may have one of its own. started: the startup probe had
// succeeded or there is none, so the liveness probe did it.
func ProbeGrace(pod *v1.Pod, container string, started bool) time.Duration {
	c := containerSpec(pod, container)
	if c == nil {
		return Grace(pod)
	}
	failed := c.StartupProbe
	if started {
		failed = c.LivenessProbe
	}
	if failed == nil || failed.TerminationGracePeriodSeconds == nil {
		return Grace(pod)
	}
	return time.Duration(*failed.TerminationGracePeriodSeconds) * time.Second
}

func containerSpec(pod *v1.Pod, name string) *v1.Container {
	for _, list := range [][]v1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if c := &pod.Spec.EphemeralContainers[i]; c.Name == name {
			return (*v1.Container)(&c.EphemeralContainerCommon)
		}
	}
	return nil
}

// RemoveContainer removes an ended container with its log's link and, unless it is the newest of its name, its log.
func (a *Actor) RemoveContainer(ctx context.Context, o *observed.Pod, c *observed.Container, withLog bool) error {
	if err := a.Runtime.RemoveContainer(ctx, c.ID); err != nil {
		return fmt.Errorf("removing container %s: %w", c.ID, err)
	}
	links, _ := filepath.Glob(filepath.Join(a.Logs.Links, "*-"+c.ID+".log"))
	for _, l := range links {
		_ = os.Remove(l)
	}
	if withLog && c.LogPath != "" {
		_ = os.Remove(c.LogPath)
		rotated, _ := filepath.Glob(c.LogPath + ".*")
		for _, r := range rotated {
			_ = os.Remove(r)
		}
	}
	_ = os.Remove(filepath.Join(a.RootDir, "pods", string(o.UID), "containers", c.Name, fmt.Sprintf("%08x", c.RestartCount)))
	return nil
}

// RemovePod removes everything that the runtime still has of a pod that ended, and its logs. Removing a sandbox stops it
// (CRI, RemovePodSandbox): stopping it here too would only run the network plugins once more.
func (a *Actor) RemovePod(ctx context.Context, o *observed.Pod) error {
	for _, c := range o.Containers {
		if err := a.RemoveContainer(ctx, o, c, true); err != nil {
			return err
		}
	}
	for _, s := range o.Sandboxes {
		if err := a.Runtime.RemovePodSandbox(ctx, s.ID); err != nil {
			return fmt.Errorf("removing sandbox %s: %w", s.ID, err)
		}
	}
	if o.Name == "" {
		return nil
	}
	return os.RemoveAll(a.Logs.Pod(o.Namespace, o.Name, o.UID))
}
