// Package status makes a pod's status from what the runtime says, and writes it to the API.
package status

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/plan"
	"pilotis.dev/cmd/kubelet/resources"
)

// Waiting says why a container does not run.
type Waiting struct{ Reason, Message string }

// Input is what a status is made from.
type Input struct {
	Pod      *v1.Pod // with the status that was last known
	Observed *observed.Pod
	HostIPs  []string
	Now      time.Time
	// Waiting are the containers that the last plan could not start, by name.
	Waiting map[string]Waiting
	// Rejected is why the node refused the pod, or ended it by itself; nil: it did not.
	Rejected *Rejection
	// Ending: the pod is to end, and its containers are being stopped or are gone.
	Ending bool
	// Ended: the pod is to end, and nothing of it runs or will.
	Ended bool
	// Resize is how far a resize of the pod is.
	Resize  Resize
	Ready   func(container string) bool // by readiness probe; true without one
	Started func(container string) bool // by startup probe; true without one
}

// Resize is the state of a pod whose resources were changed (KEP-1287); the zero value: as specified.
type Resize struct {
	Pending, Message string // reason why it cannot be done now: Deferred or Infeasible
	Error            string // it failed and is tried again
}

func (r Resize) conditions() []v1.PodCondition {
	var out []v1.PodCondition
	if r.Pending != "" {
		out = append(out, v1.PodCondition{Type: v1.PodResizePending, Status: v1.ConditionTrue, Reason: r.Pending, Message: r.Message})
	}
	if r.Error != "" {
		out = append(out, v1.PodCondition{Type: v1.PodResizeInProgress, Status: v1.ConditionTrue, Reason: v1.PodReasonError, Message: r.Error})
	}
	return out
}

// Rejection is a pod's end by the node's own decision.
type Rejection struct {
	Reason, Message string
	// Disruption is the reason of the condition DisruptionTarget when the node ended a pod that ran (KEP-3329).
	Disruption string
}

// Generate makes the pod's status.
func Generate(in Input) v1.PodStatus {
	old := in.Pod.Status
	s := v1.PodStatus{
		QOSClass: resources.QOSClass(in.Pod), StartTime: old.StartTime, NominatedNodeName: old.NominatedNodeName,
		Resize: old.Resize, ResourceClaimStatuses: old.ResourceClaimStatuses, ExtendedResourceClaimStatus: old.ExtendedResourceClaimStatus,
		ObservedGeneration: in.Pod.Generation, Reason: old.Reason, Message: old.Message,
		AllocatedResources: old.AllocatedResources, Resources: old.Resources,
	}
	if s.StartTime == nil {
		s.StartTime = &metav1.Time{Time: in.Now}
	}
	for _, ip := range in.HostIPs {
		s.HostIPs = append(s.HostIPs, v1.HostIP{IP: ip})
	}
	if len(in.HostIPs) > 0 {
		s.HostIP = in.HostIPs[0]
	}
	s.PodIPs = podIPs(in)
	if len(s.PodIPs) > 0 {
		s.PodIP = s.PodIPs[0].IP
	}
	if refused(in) {
		s.Phase, s.Reason, s.Message = v1.PodFailed, in.Rejected.Reason, in.Rejected.Message
		s.PodIP, s.PodIPs = "", nil
		return s // it never had containers: users see the reason, not "ContainerCreating"
	}
	g := generator{in: in, round: plan.Round(in.Pod, in.Observed)}
	for i := range in.Pod.Spec.InitContainers {
		s.InitContainerStatuses = append(s.InitContainerStatuses, g.container(&in.Pod.Spec.InitContainers[i], old.InitContainerStatuses, plan.Init))
	}
	for i := range in.Pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, g.container(&in.Pod.Spec.Containers[i], old.ContainerStatuses, plan.Regular))
	}
	for i := range in.Pod.Spec.EphemeralContainers {
		c := (*v1.Container)(&in.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		s.EphemeralContainerStatuses = append(s.EphemeralContainerStatuses, g.container(c, old.EphemeralContainerStatuses, plan.Ephemeral))
	}
	if in.Ended && len(uninitialized(in.Pod, &s)) == 0 {
		giveUp(s.ContainerStatuses)
	}
	s.Phase = phase(in, &s)
	if in.Ended && !final(s.Phase) {
		// Who waits for the end, such as a Job with a pod failure policy, would wait for ever for a pod that was deleted
		// before it began.
		s.Phase = v1.PodFailed
	}
	if in.Rejected != nil {
		s.Phase, s.Reason, s.Message = v1.PodFailed, in.Rejected.Reason, in.Rejected.Message
	} else if final(old.Phase) {
		s.Phase = old.Phase
	}
	s.Conditions = conditions(in, &s)
	if final(s.Phase) && !final(old.Phase) && anyRuns(&s) {
		// Whoever sees an end, the scheduler and controllers among them, takes what the pod held for free. So an end is
		// told when the last container, sidecars among them, has ended.
		s.Phase, s.Reason, s.Message = cmp.Or(old.Phase, v1.PodRunning), old.Reason, old.Message
	}
	return s
}

func final(phase v1.PodPhase) bool { return phase == v1.PodFailed || phase == v1.PodSucceeded }

// anyRuns reports whether a container of any kind runs.
func anyRuns(s *v1.PodStatus) bool {
	for _, list := range [][]v1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		if slices.ContainsFunc(list, func(c v1.ContainerStatus) bool { return c.State.Running != nil }) {
			return true
		}
	}
	return false
}

// refused reports that the node did not take the pod at all.
func refused(in Input) bool {
	if in.Rejected == nil || len(in.Pod.Status.ContainerStatuses) > 0 || len(in.Pod.Status.InitContainerStatuses) > 0 {
		return false
	}
	return in.Observed == nil || (len(in.Observed.Sandboxes) == 0 && len(in.Observed.Containers) == 0)
}

func podIPs(in Input) []v1.PodIP {
	var ips []string
	if in.Pod.Spec.HostNetwork {
		ips = in.HostIPs
	} else if sandbox := in.Observed.Sandbox(); sandbox != nil && sandbox.Ready {
		ips = sandbox.IPs
	}
	if len(ips) == 0 {
		return in.Pod.Status.PodIPs // the last known ones stay until the pod is gone
	}
	var out []v1.PodIP
	for _, ip := range ips {
		out = append(out, v1.PodIP{IP: ip})
	}
	return out
}

type generator struct {
	in    Input
	round time.Time // what was created before starts anew (KEP-5532)
}

// container makes one container's status.
func (g generator) container(c *v1.Container, old []v1.ContainerStatus, kind plan.Kind) v1.ContainerStatus {
	s := v1.ContainerStatus{Name: c.Name, Image: c.Image, Started: ptr.To(false)}
	i := slices.IndexFunc(old, func(o v1.ContainerStatus) bool { return o.Name == c.Name })
	if i >= 0 {
		s.RestartCount, s.LastTerminationState = old[i].RestartCount, old[i].LastTerminationState
		s.AllocatedResources = old[i].AllocatedResources
	}
	newest := g.in.Observed.Newest(c.Name)
	s.VolumeMounts = volumeMounts(c, newest)
	if newest == nil {
		s.State = g.absent(c, old, i, kind)
		if i >= 0 && s.State.Terminated != nil {
			s.ContainerID, s.ImageID, s.Image = old[i].ContainerID, old[i].ImageID, old[i].Image
			s.Ready = kind == plan.Init && s.State.Terminated.ExitCode == 0 && !plan.IsSidecar(c)
		}
		return s
	}
	s.ContainerID = "containerd://" + newest.ID
	s.ImageID, s.RestartCount = newest.ImageID, int32(newest.RestartCount)
	if newest.Image != "" {
		s.Image = newest.Image
	}
	s.StopSignal = stopSignal(c, newest)
	s.State = state(newest)
	if previous := g.previous(newest); previous != nil {
		s.LastTerminationState = v1.ContainerState{Terminated: state(previous).Terminated}
	}
	if t := s.State.Terminated; t != nil && newest.Created.Before(g.round) && g.mayStart(kind) {
		s.LastTerminationState, s.State = v1.ContainerState{Terminated: t}, g.unstarted()
	}
	waiting, blocked := g.in.Waiting[c.Name]
	if t := s.State.Terminated; blocked && s.State.Running == nil && (t == nil || g.startsAgain(c, kind, t)) {
		if t != nil {
			s.LastTerminationState = v1.ContainerState{Terminated: t}
		}
		s.State = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: waiting.Reason, Message: waiting.Message}}
	}
	if s.State.Running != nil {
		s.Started = ptr.To(g.in.Started(c.Name))
		s.Ready = *s.Started && g.in.Ready(c.Name) && kind != plan.Ephemeral
		s.Resources = resourcesOf(c, newest)
		s.AllocatedResources = c.Resources.Requests
		if u := newest.User.GetLinux(); u != nil {
			s.User = &v1.ContainerUser{Linux: &v1.LinuxContainerUser{UID: u.Uid, GID: u.Gid, SupplementalGroups: u.SupplementalGroups}}
		}
	}
	if t := s.State.Terminated; kind == plan.Init && t != nil && t.ExitCode == 0 && !plan.IsSidecar(c) {
		s.Ready = true
	}
	return s
}

// startsAgain tells whether a container that ended will run once more.
func (g generator) startsAgain(c *v1.Container, kind plan.Kind, ended *v1.ContainerStateTerminated) bool {
	return g.mayStart(kind) && plan.StartsAgain(g.in.Pod, c, ended.ExitCode)
}

// mayStart reports that the pod goes on, and with it containers of the kind that have run before.
func (g generator) mayStart(kind plan.Kind) bool {
	return !g.in.Ending && !final(g.in.Pod.Status.Phase) && kind != plan.Ephemeral
}

// absent is the state of a container that the runtime does not know.
func (g generator) absent(c *v1.Container, old []v1.ContainerStatus, i int, kind plan.Kind) v1.ContainerState {
	if i >= 0 && old[i].State.Terminated != nil {
		return old[i].State
	}
	if i >= 0 && old[i].State.Running != nil {
		lost := unlocated()
		lost.Terminated.ContainerID, lost.Terminated.StartedAt = old[i].ContainerID, old[i].State.Running.StartedAt
		return lost
	}
	if w, ok := g.in.Waiting[c.Name]; ok {
		return v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}}
	}
	return g.unstarted()
}

// unstarted is the state of a container whose turn has not come.
func (g generator) unstarted() v1.ContainerState {
	reason := "ContainerCreating"
	if len(g.in.Pod.Spec.InitContainers) > 0 {
		reason = "PodInitializing"
	}
	return v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reason}}
}

// unlocated is the end of a container of which the runtime tells nothing.
func unlocated() v1.ContainerState {
	return v1.ContainerState{Terminated: &v1.ContainerStateTerminated{
		ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "The container could not be located when the pod was terminated",
	}}
}

// giveUp ends the containers that did not start and never will.
func giveUp(containers []v1.ContainerStatus) {
	for i := range containers {
		if c := &containers[i]; c.State.Terminated == nil {
			c.State = unlocated()
		}
	}
}

func (g generator) previous(newest *observed.Container) *observed.Container {
	found := false
	for _, c := range g.in.Observed.Containers {
		if c == newest {
			found = true
		} else if found && c.Name == newest.Name && c.Exited() {
			return c
		}
	}
	return nil
}

func state(c *observed.Container) v1.ContainerState {
	switch c.State {
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		return v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: metav1.NewTime(c.Started)}}
	case runtimeapi.ContainerState_CONTAINER_EXITED:
		reason := c.Reason
		if reason == "" {
			reason = "Completed"
			if c.ExitCode != 0 {
				reason = "Error"
			}
		}
		t := &v1.ContainerStateTerminated{ExitCode: c.ExitCode, Reason: reason, Message: c.Message, FinishedAt: metav1.NewTime(c.Finished), ContainerID: "containerd://" + c.ID}
		if c.Started.Unix() > 0 {
			t.StartedAt = metav1.NewTime(c.Started)
		}
		return v1.ContainerState{Terminated: t}
	}
	return v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "ContainerCreating"}}
}

// volumeMounts are the container's as they are: those that are to be recursively read-only if possible are as the runtime tells, and
// not before it does (KEP-3857).
func volumeMounts(c *v1.Container, o *observed.Container) []v1.VolumeMountStatus {
	var out []v1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		s := v1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := ptr.Deref(m.RecursiveReadOnly, v1.RecursiveReadOnlyDisabled)
			if mode == v1.RecursiveReadOnlyIfPossible {
				mode = v1.RecursiveReadOnlyDisabled
				if o != nil && slices.ContainsFunc(o.Mounts, func(now *runtimeapi.Mount) bool {
					return now.RecursiveReadOnly && path.Join("/", now.ContainerPath) == path.Join("/", m.MountPath)
				}) {
					mode = v1.RecursiveReadOnlyEnabled
				}
			}
			s.RecursiveReadOnly = &mode
		}
		out = append(out, s)
	}
	return out
}

// stopSignal is what ends the container: as the runtime tells, which knows the image's, or else as specified.
func stopSignal(c *v1.Container, o *observed.Container) *v1.Signal {
	if o.StopSignal == nil && c.Lifecycle != nil {
		return c.Lifecycle.StopSignal
	}
	return o.StopSignal
}

// resourcesOf is what the container runs with: its specification's lists with the runtime's actual values, where it
// tells them.
func resourcesOf(c *v1.Container, o *observed.Container) *v1.ResourceRequirements {
	r := c.Resources.DeepCopy()
	if linux := o.Resources.GetLinux(); linux != nil {
		if _, ok := r.Limits[v1.ResourceMemory]; ok && linux.MemoryLimitInBytes > 0 {
			r.Limits[v1.ResourceMemory] = *resource.NewQuantity(linux.MemoryLimitInBytes, resource.BinarySI)
		}
	}
	return r
}

// phase sums the containers up (API reference of PodPhase).
func phase(in Input, s *v1.PodStatus) v1.PodPhase {
	for i := range in.Pod.Spec.InitContainers {
		c, st := &in.Pod.Spec.InitContainers[i], s.InitContainerStatuses[i]
		done := st.State.Terminated != nil && st.State.Terminated.ExitCode == 0
		if plan.IsSidecar(c) {
			done = st.Started != nil && *st.Started
		} else if t := st.State.Terminated; t != nil && !done && !plan.StartsAgain(in.Pod, c, t.ExitCode) {
			return v1.PodFailed
		}
		if !done && !begun(s) {
			return v1.PodPending
		}
	}
	var running, waiting, failed int
	for i, st := range s.ContainerStatuses {
		switch t := st.State.Terminated; {
		case st.State.Running != nil:
			running++
		case t != nil && !in.Ending && plan.StartsAgain(in.Pod, &in.Pod.Spec.Containers[i], t.ExitCode):
			running++ // between two runs
		case t != nil && t.ExitCode != 0:
			failed++
		case t != nil:
		case st.LastTerminationState.Terminated != nil:
			running++ // likewise, and it waits
		default:
			waiting++
		}
	}
	switch {
	case waiting > 0:
		return v1.PodPending
	case running > 0:
		return v1.PodRunning
	case failed > 0:
		return v1.PodFailed
	}
	return v1.PodSucceeded
}

func begun(s *v1.PodStatus) bool {
	return slices.ContainsFunc(s.ContainerStatuses, func(st v1.ContainerStatus) bool { return st.ContainerID != "" })
}

// conditions keeps what others wrote, and the times of what did not change.
func conditions(in Input, s *v1.PodStatus) []v1.PodCondition {
	sandbox := in.Observed.Sandbox()
	hasSandbox := sandbox != nil && sandbox.Ready && (in.Pod.Spec.HostNetwork || len(sandbox.IPs) > 0)
	mine := []v1.PodCondition{
		flag(v1.PodReadyToStartContainers, hasSandbox, "", ""),
		initialized(in.Pod, s),
	}
	containersReady := containersReady(in.Pod, s)
	mine = append(mine, ready(in.Pod, containersReady), containersReady)
	scheduled := flag(v1.PodScheduled, true, "", "")
	if !slices.ContainsFunc(in.Pod.Status.Conditions, func(c v1.PodCondition) bool { return c.Type == v1.PodScheduled && c.Status == v1.ConditionTrue }) {
		mine = append(mine, scheduled)
	}
	mine = append(mine, in.Resize.conditions()...)
	if !plan.Round(in.Pod, in.Observed).IsZero() {
		mine = append(mine, flag(v1.AllContainersRestarting, len(plan.RunningOfLastRound(in.Pod, in.Observed)) > 0, "", ""))
	}
	if in.Rejected != nil && in.Rejected.Disruption != "" {
		mine = append(mine, v1.PodCondition{Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: in.Rejected.Disruption, Message: in.Rejected.Message})
	}
	out := []v1.PodCondition{}
	for _, c := range mine {
		c.ObservedGeneration = in.Pod.Generation
		c.LastTransitionTime = metav1.NewTime(in.Now)
		for _, o := range in.Pod.Status.Conditions {
			if o.Type == c.Type && o.Status == c.Status {
				c.LastTransitionTime = o.LastTransitionTime
			}
		}
		out = append(out, c)
	}
	for _, o := range in.Pod.Status.Conditions {
		if o.Type == v1.PodResizePending || o.Type == v1.PodResizeInProgress {
			continue // over, or in the list already
		}
		if !slices.ContainsFunc(out, func(c v1.PodCondition) bool { return c.Type == o.Type }) {
			out = append(out, o)
		}
	}
	return out
}

func flag(kind v1.PodConditionType, holds bool, reason, message string) v1.PodCondition {
	c := v1.PodCondition{Type: kind, Status: v1.ConditionTrue}
	if !holds {
		c.Status, c.Reason, c.Message = v1.ConditionFalse, reason, message
	}
	return c
}

func initialized(pod *v1.Pod, s *v1.PodStatus) v1.PodCondition {
	incomplete := uninitialized(pod, s)
	if s.Phase == v1.PodSucceeded {
		return v1.PodCondition{Type: v1.PodInitialized, Status: v1.ConditionTrue, Reason: "PodCompleted"}
	}
	return flag(v1.PodInitialized, len(incomplete) == 0, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(incomplete, " ")))
}

// uninitialized are the init containers that the regular ones wait for.
func uninitialized(pod *v1.Pod, s *v1.PodStatus) []string {
	if begun(s) {
		return nil
	}
	var incomplete []string
	for i, c := range pod.Spec.InitContainers {
		st := s.InitContainerStatuses[i]
		done := st.State.Terminated != nil && st.State.Terminated.ExitCode == 0
		if plan.IsSidecar(&c) {
			done = st.Started != nil && *st.Started
		}
		if !done {
			incomplete = append(incomplete, c.Name)
		}
	}
	return incomplete
}

func containersReady(pod *v1.Pod, s *v1.PodStatus) v1.PodCondition {
	switch s.Phase {
	case v1.PodSucceeded:
		return flag(v1.ContainersReady, false, "PodCompleted", "")
	case v1.PodFailed:
		return flag(v1.ContainersReady, false, "PodFailed", "")
	}
	var unready []string
	for i, c := range pod.Spec.InitContainers {
		if plan.IsSidecar(&c) && !s.InitContainerStatuses[i].Ready {
			unready = append(unready, c.Name)
		}
	}
	for _, st := range s.ContainerStatuses {
		if !st.Ready {
			unready = append(unready, st.Name)
		}
	}
	return flag(v1.ContainersReady, len(unready) == 0, "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " ")))
}

// ready adds the readiness gates (KEP-580).
func ready(pod *v1.Pod, containers v1.PodCondition) v1.PodCondition {
	if containers.Status != v1.ConditionTrue {
		containers.Type = v1.PodReady
		return containers
	}
	var missing []string
	for _, gate := range pod.Spec.ReadinessGates {
		i := slices.IndexFunc(pod.Status.Conditions, func(c v1.PodCondition) bool { return c.Type == gate.ConditionType })
		switch {
		case i < 0:
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case pod.Status.Conditions[i].Status != v1.ConditionTrue:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, pod.Status.Conditions[i].Status))
		}
	}
	return flag(v1.PodReady, len(missing) == 0, "ReadinessGatesNotReady", strings.Join(missing, ", "))
}
