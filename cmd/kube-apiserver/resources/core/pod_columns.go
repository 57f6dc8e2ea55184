package core

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

func podColumns() []kind.Column[*corev1.Pod] {
	type T = *corev1.Pod
	return kind.Columns(
		[]kind.Column[T]{
			kind.Name[T](),
			kind.Text("Ready", func(p T) string { s := summarize(p); return fmt.Sprintf("%d/%d", s.ready, s.total) }),
			kind.Text("Status", func(p T) string { return summarize(p).reason }),
			kind.Text("Restarts", func(p T) string { return summarize(p).restartText() }),
			kind.Age[T](),
		},
		kind.Wide(
			kind.Text("IP", func(p T) string {
				if len(p.Status.PodIPs) > 0 {
					return p.Status.PodIPs[0].IP
				}
				return kind.OrNone(p.Status.PodIP)
			}),
			kind.Text("Node", func(p T) string { return kind.OrNone(p.Spec.NodeName) }),
			kind.Text("Nominated Node", func(p T) string { return kind.OrNone(p.Status.NominatedNodeName) }),
			kind.Text("Readiness Gates", readinessGates),
		),
	)
}

// podSummary is what kubectl get shows of a pod's containers.
type podSummary struct {
	ready, total int
	restarts     int
	lastRestart  metav1.Time
	reason       string
}

func (s podSummary) restartText() string {
	if s.restarts == 0 || s.lastRestart.IsZero() {
		return strconv.Itoa(s.restarts)
	}
	return fmt.Sprintf("%d (%s ago)", s.restarts, kind.Ago(s.lastRestart))
}

func (s *podSummary) count(c *corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if t := c.LastTerminationState.Terminated; t != nil && s.lastRestart.Before(&t.FinishedAt) {
		s.lastRestart = t.FinishedAt
	}
}

func terminatedReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

// summarize tells a pod in one word: its phase, or the more telling state of a container.
func summarize(p *corev1.Pod) podSummary {
	s := podSummary{total: len(p.Spec.Containers), reason: string(p.Status.Phase)}
	if p.Status.Reason != "" {
		s.reason = p.Status.Reason
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.reason = corev1.PodReasonSchedulingGated
		}
	}
	if initializing := s.initContainers(p); !initializing || initialized(p) {
		s.mainContainers(p)
	}
	if p.DeletionTimestamp != nil {
		switch {
		case p.Status.Reason == "NodeLost":
			s.reason = "Unknown"
		case p.Status.Phase != corev1.PodFailed && p.Status.Phase != corev1.PodSucceeded:
			s.reason = "Terminating"
		}
	}
	return s
}

func initialized(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodInitialized {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// initContainers counts init and sidecar containers and reports whether initialization still goes on.
func (s *podSummary) initContainers(p *corev1.Pod) (initializing bool) {
	byName := map[string]*corev1.Container{}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		byName[c.Name] = c
		if sidecar(c) {
			s.total++
		}
	}
	for i := range p.Status.InitContainerStatuses {
		st := &p.Status.InitContainerStatuses[i]
		spec := byName[st.Name]
		isSidecar := spec != nil && sidecar(spec)
		s.count(st)
		switch {
		case st.State.Terminated != nil && st.State.Terminated.ExitCode == 0:
			continue
		case isSidecar && st.Started != nil && *st.Started:
			if st.Ready {
				s.ready++
			}
			continue
		case st.State.Terminated != nil:
			s.reason = "Init:" + terminatedReason(st.State.Terminated)
		case st.State.Waiting != nil && st.State.Waiting.Reason != "" && st.State.Waiting.Reason != "PodInitializing":
			s.reason = "Init:" + st.State.Waiting.Reason
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

func (s *podSummary) mainContainers(p *corev1.Pod) {
	sidecarRestarts := s.restarts
	s.restarts = 0
	for i := range p.Spec.InitContainers {
		if !sidecar(&p.Spec.InitContainers[i]) {
			continue
		}
		for j := range p.Status.InitContainerStatuses {
			if p.Status.InitContainerStatuses[j].Name == p.Spec.InitContainers[i].Name {
				s.restarts += int(p.Status.InitContainerStatuses[j].RestartCount)
			}
		}
	}
	if len(p.Status.ContainerStatuses) == 0 {
		s.restarts = sidecarRestarts
	}
	running := false
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &p.Status.ContainerStatuses[i]
		s.count(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.reason = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.reason = terminatedReason(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.reason == "Completed" && running {
		s.reason = "NotReady"
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				s.reason = "Running"
			}
		}
	}
}

func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return "<none>"
	}
	open := 0
	for _, gate := range p.Spec.ReadinessGates {
		for _, c := range p.Status.Conditions {
			if c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue {
				open++
				break
			}
		}
	}
	return fmt.Sprintf("%d/%d", open, len(p.Spec.ReadinessGates))
}

func podRowConditions(p *corev1.Pod) []metav1.TableRowCondition {
	completed := metav1.TableRowCondition{Type: metav1.RowCompleted, Status: metav1.ConditionTrue}
	switch p.Status.Phase {
	case corev1.PodSucceeded:
		completed.Reason, completed.Message = string(corev1.PodSucceeded), "The pod has completed successfully."
	case corev1.PodFailed:
		completed.Reason, completed.Message = string(corev1.PodFailed), "The pod failed."
	default:
		return nil
	}
	return []metav1.TableRowCondition{completed}
}
