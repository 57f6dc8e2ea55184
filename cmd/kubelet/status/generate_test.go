package status

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/observed"
)

var start = time.Unix(1000, 0)

func pod(policy v1.RestartPolicy, init []string, regular ...string) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 7}, Spec: v1.PodSpec{RestartPolicy: policy}}
	for _, n := range init {
		p.Spec.InitContainers = append(p.Spec.InitContainers, v1.Container{Name: n})
	}
	for _, n := range regular {
		p.Spec.Containers = append(p.Spec.Containers, v1.Container{Name: n, Image: n + ":1"})
	}
	return p
}

func running(name string) *observed.Container {
	return &observed.Container{ID: name + "-id", Name: name, SandboxID: "s", State: runtimeapi.ContainerState_CONTAINER_RUNNING, Started: start, Created: start}
}

func exited(name string, code int32) *observed.Container {
	c := running(name)
	c.State, c.ExitCode, c.Finished = runtimeapi.ContainerState_CONTAINER_EXITED, code, start.Add(time.Second)
	return c
}

func sees(containers ...*observed.Container) *observed.Pod {
	return &observed.Pod{Sandboxes: []*observed.Sandbox{{ID: "s", Ready: true, IPs: []string{"10.0.0.7"}}}, Containers: containers}
}

func input(p *v1.Pod, o *observed.Pod) Input {
	yes := func(string) bool { return true }
	return Input{Pod: p, Observed: o, HostIPs: []string{"192.0.2.1"}, Now: start.Add(time.Minute), Ready: yes, Started: yes}
}

func condition(s v1.PodStatus, kind v1.PodConditionType) v1.PodCondition {
	for _, c := range s.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return v1.PodCondition{}
}

func TestPhaseAndReadiness(t *testing.T) {
	for _, tt := range []struct {
		name     string
		pod      *v1.Pod
		observed *observed.Pod
		change   func(*Input)
		phase    v1.PodPhase
		ready    bool
		reason   string // of condition Ready
	}{
		{name: "nothing started", pod: pod(v1.RestartPolicyAlways, nil, "a"), phase: v1.PodPending, reason: "ContainersNotReady"},
		{name: "all runs", pod: pod(v1.RestartPolicyAlways, nil, "a", "b"), observed: sees(running("a"), running("b")), phase: v1.PodRunning, ready: true},
		{name: "one not yet created", pod: pod(v1.RestartPolicyAlways, nil, "a", "b"), observed: sees(running("a")), phase: v1.PodPending, reason: "ContainersNotReady"},
		{name: "init under way", pod: pod(v1.RestartPolicyAlways, []string{"i"}, "a"), observed: sees(running("i")), phase: v1.PodPending, reason: "ContainersNotReady"},
		{name: "init failed for good", pod: pod(v1.RestartPolicyNever, []string{"i"}, "a"), observed: sees(exited("i", 1)), phase: v1.PodFailed, reason: "PodFailed"},
		{name: "init failed and tries again", pod: pod(v1.RestartPolicyOnFailure, []string{"i"}, "a"), observed: sees(exited("i", 1)), phase: v1.PodPending, reason: "ContainersNotReady"},
		{name: "done", pod: pod(v1.RestartPolicyNever, nil, "a"), observed: sees(exited("a", 0)), phase: v1.PodSucceeded, reason: "PodCompleted"},
		{name: "failed", pod: pod(v1.RestartPolicyNever, nil, "a", "b"), observed: sees(exited("a", 0), exited("b", 3)), phase: v1.PodFailed, reason: "PodFailed"},
		{name: "between two runs", pod: pod(v1.RestartPolicyAlways, nil, "a"), observed: sees(exited("a", 3)), phase: v1.PodRunning, reason: "ContainersNotReady"},
		{name: "failed, to be tried again", pod: pod(v1.RestartPolicyOnFailure, nil, "a"), observed: sees(exited("a", 3)), phase: v1.PodRunning, reason: "ContainersNotReady"},
		{name: "readiness probe fails", pod: pod(v1.RestartPolicyAlways, nil, "a"), observed: sees(running("a")), change: func(in *Input) { in.Ready = func(string) bool { return false } }, phase: v1.PodRunning, reason: "ContainersNotReady"},
		{name: "readiness gate is missing", pod: pod(v1.RestartPolicyAlways, nil, "a"), observed: sees(running("a")), change: func(in *Input) {
			in.Pod.Spec.ReadinessGates = []v1.PodReadinessGate{{ConditionType: "x/y"}}
		}, phase: v1.PodRunning, reason: "ReadinessGatesNotReady"},
		{name: "readiness gate holds", pod: pod(v1.RestartPolicyAlways, nil, "a"), observed: sees(running("a")), change: func(in *Input) {
			in.Pod.Spec.ReadinessGates = []v1.PodReadinessGate{{ConditionType: "x/y"}}
			in.Pod.Status.Conditions = []v1.PodCondition{{Type: "x/y", Status: v1.ConditionTrue}}
		}, phase: v1.PodRunning, ready: true},
		{name: "an end is final", pod: pod(v1.RestartPolicyAlways, nil, "a"), observed: sees(running("a")), change: func(in *Input) { in.Pod.Status.Phase = v1.PodFailed }, phase: v1.PodFailed, ready: true},
		{name: "deleted with success", pod: pod(v1.RestartPolicyAlways, nil, "a"), observed: sees(exited("a", 0)), change: func(in *Input) { in.Ending = true }, phase: v1.PodSucceeded, reason: "PodCompleted"},
		{name: "deleted with a failure", pod: pod(v1.RestartPolicyAlways, nil, "a"), observed: sees(exited("a", 137)), change: func(in *Input) { in.Ending = true }, phase: v1.PodFailed, reason: "PodFailed"},
		{name: "deleted before it began", pod: pod(v1.RestartPolicyAlways, nil, "a"), change: func(in *Input) { in.Ending, in.Ended = true, true }, phase: v1.PodFailed, reason: "PodFailed"},
		{name: "deleted between two containers", pod: pod(v1.RestartPolicyAlways, nil, "a", "b"), observed: sees(exited("a", 0)), change: func(in *Input) { in.Ending, in.Ended = true, true }, phase: v1.PodFailed, reason: "PodFailed"},
		{name: "deleted while it was initialised", pod: pod(v1.RestartPolicyAlways, []string{"i"}, "a"), observed: sees(exited("i", 0)), change: func(in *Input) { in.Ending, in.Ended = true, true }, phase: v1.PodFailed, reason: "PodFailed"},
		{name: "deleted before it was initialised", pod: pod(v1.RestartPolicyAlways, []string{"i"}, "a"), change: func(in *Input) { in.Ending, in.Ended = true, true }, phase: v1.PodFailed, reason: "PodFailed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(tt.pod, tt.observed)
			if tt.change != nil {
				tt.change(&in)
			}
			s := Generate(in)
			ready := condition(s, v1.PodReady)
			if s.Phase != tt.phase {
				t.Errorf("phase %s, want %s", s.Phase, tt.phase)
			}
			if (ready.Status == v1.ConditionTrue) != tt.ready && tt.name != "an end is final" || ready.Reason != tt.reason && tt.reason != "" {
				t.Errorf("Ready is %s (%s), want %v (%s)", ready.Status, ready.Reason, tt.ready, tt.reason)
			}
			if s.ObservedGeneration != 7 || ready.ObservedGeneration != 7 {
				t.Errorf("observedGeneration %d, of Ready %d; want 7", s.ObservedGeneration, ready.ObservedGeneration)
			}
		})
	}
}

func TestContainerStates(t *testing.T) {
	oom := exited("a", 137)
	oom.Reason = "OOMKilled"
	first, second := exited("a", 1), running("a")
	second.Created, second.ID, second.RestartCount = start.Add(time.Hour), "second", 1
	for _, tt := range []struct {
		name        string
		observed    *observed.Pod
		waiting     *Waiting
		state, last string
		restarts    int32
	}{
		{"not yet", nil, nil, "waiting ContainerCreating", "", 0},
		{"the image cannot be pulled", nil, &Waiting{Reason: "ErrImagePull"}, "waiting ErrImagePull", "", 0},
		{"runs", sees(running("a")), nil, "running", "", 0},
		{"success", sees(exited("a", 0)), nil, "terminated Completed", "", 0},
		{"failure", sees(exited("a", 2)), nil, "terminated Error", "", 0},
		{"out of memory", sees(oom), nil, "terminated OOMKilled", "", 0},
		{"runs again", sees(second, first), nil, "running", "terminated Error", 1},
		{"backs off", sees(exited("a", 2)), &Waiting{Reason: "CrashLoopBackOff"}, "waiting CrashLoopBackOff", "terminated Error", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(pod(v1.RestartPolicyAlways, nil, "a"), tt.observed)
			if tt.waiting != nil {
				in.Waiting = map[string]Waiting{"a": *tt.waiting}
			}
			c := Generate(in).ContainerStatuses[0]
			if got := text(c.State); got != tt.state {
				t.Errorf("state %q, want %q", got, tt.state)
			}
			if got := text(c.LastTerminationState); got != tt.last {
				t.Errorf("last state %q, want %q", got, tt.last)
			}
			if c.RestartCount != tt.restarts {
				t.Errorf("%d restarts, want %d", c.RestartCount, tt.restarts)
			}
		})
	}
}

func text(s v1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Waiting != nil:
		return "waiting " + s.Waiting.Reason
	case s.Terminated != nil:
		return "terminated " + s.Terminated.Reason
	}
	return ""
}

func TestAContainerTheRuntimeLostIsUnknown(t *testing.T) {
	p := pod(v1.RestartPolicyNever, nil, "a")
	p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "a", ContainerID: "containerd://x", State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}}
	c := Generate(input(p, nil)).ContainerStatuses[0]
	if got := text(c.State); got != "terminated ContainerStatusUnknown" || c.ContainerID != "containerd://x" {
		t.Errorf("state %q of %s", got, c.ContainerID)
	}
}

func TestAContainerThatNeverStartedEndsWithItsPod(t *testing.T) {
	in := input(pod(v1.RestartPolicyAlways, nil, "a", "b"), sees(exited("a", 3)))
	in.Ending, in.Ended = true, true
	s := Generate(in)
	if a, b := text(s.ContainerStatuses[0].State), text(s.ContainerStatuses[1].State); a != "terminated Error" || b != "terminated ContainerStatusUnknown" {
		t.Errorf("a is %s, b is %s", a, b)
	}
	in = input(pod(v1.RestartPolicyAlways, []string{"i"}, "a"), nil)
	in.Ending, in.Ended = true, true
	s = Generate(in)
	if i, a := text(s.InitContainerStatuses[0].State), text(s.ContainerStatuses[0].State); i != "waiting PodInitializing" || a != "waiting PodInitializing" {
		t.Errorf("i is %s, a is %s: the pod was never initialised", i, a)
	}
}

func TestSidecar(t *testing.T) {
	p := pod(v1.RestartPolicyAlways, []string{"s"}, "a")
	p.Spec.InitContainers[0].RestartPolicy = ptr.To(v1.ContainerRestartPolicyAlways)
	in := input(p, sees(running("s"), running("a")))
	if s := Generate(in); s.Phase != v1.PodRunning || condition(s, v1.PodReady).Status != v1.ConditionTrue || condition(s, v1.PodInitialized).Status != v1.ConditionTrue {
		t.Errorf("phase %s, conditions %v", s.Phase, s.Conditions)
	}
	in.Ready = func(c string) bool { return c != "s" }
	if s := Generate(in); condition(s, v1.PodReady).Status == v1.ConditionTrue {
		t.Error("a pod is ready although its sidecar is not")
	}
	in = input(p, sees(running("s")))
	in.Started = func(string) bool { return false }
	if s := Generate(in); condition(s, v1.PodInitialized).Status == v1.ConditionTrue || s.Phase != v1.PodPending {
		t.Error("a pod is initialised although its sidecar has not started")
	}
}

func TestConditionsKeepTimesAndOthers(t *testing.T) {
	p := pod(v1.RestartPolicyAlways, nil, "a")
	old := metav1.NewTime(start)
	p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: old}, {Type: v1.ContainersReady, Status: v1.ConditionFalse, LastTransitionTime: old}, {Type: "example.com/own", Status: v1.ConditionTrue}}
	s := Generate(input(p, sees(running("a"))))
	if got := condition(s, v1.PodReady).LastTransitionTime; !got.Equal(&old) {
		t.Error("an unchanged condition gets a new time")
	}
	if got := condition(s, v1.ContainersReady).LastTransitionTime; got.Equal(&old) {
		t.Error("a changed condition keeps its old time")
	}
	if condition(s, "example.com/own").Status != v1.ConditionTrue || condition(s, v1.PodScheduled).Status != v1.ConditionTrue || condition(s, v1.PodReadyToStartContainers).Status != v1.ConditionTrue {
		t.Errorf("conditions %v", s.Conditions)
	}
}

func TestAddresses(t *testing.T) {
	s := Generate(input(pod(v1.RestartPolicyAlways, nil, "a"), sees(running("a"))))
	if s.PodIP != "10.0.0.7" || s.HostIP != "192.0.2.1" || len(s.PodIPs) != 1 || len(s.HostIPs) != 1 {
		t.Errorf("addresses %v of the pod, %v of the host", s.PodIPs, s.HostIPs)
	}
	p := pod(v1.RestartPolicyAlways, nil, "a")
	p.Spec.HostNetwork = true
	if s = Generate(input(p, sees(running("a")))); s.PodIP != "192.0.2.1" {
		t.Errorf("on the host's network the pod has %s", s.PodIP)
	}
}

func TestRejectedPodFails(t *testing.T) {
	in := input(pod(v1.RestartPolicyAlways, nil, "a"), nil)
	in.Rejected, in.Ending = &Rejection{Reason: "OutOfcpu", Message: "too much"}, true
	if s := Generate(in); s.Phase != v1.PodFailed || s.Reason != "OutOfcpu" || s.Message != "too much" {
		t.Errorf("phase %s, reason %s, message %s", s.Phase, s.Reason, s.Message)
	}
}

// Who sees an end takes the pod's place on the node for free, so it waits for the last container.
func TestAnEndIsToldWhenTheLastContainerHasEnded(t *testing.T) {
	withSidecar := pod(v1.RestartPolicyNever, []string{"s"}, "a")
	withSidecar.Spec.InitContainers[0].RestartPolicy = ptr.To(v1.ContainerRestartPolicyAlways)
	in := input(withSidecar, sees(running("s"), exited("a", 0)))
	if s := Generate(in); s.Phase != v1.PodRunning {
		t.Errorf("the pod is %s while its sidecar runs", s.Phase)
	}
	in = input(withSidecar, sees(exited("s", 0), exited("a", 0)))
	if s := Generate(in); s.Phase != v1.PodSucceeded {
		t.Errorf("the pod is %s after its sidecar ended", s.Phase)
	}

	late := pod(v1.RestartPolicyAlways, nil, "a")
	late.Status.Phase = v1.PodRunning
	in = input(late, sees(running("a")))
	in.Rejected, in.Ending = &Rejection{Reason: "DeadlineExceeded", Message: "too late"}, true
	if s := Generate(in); s.Phase != v1.PodRunning || s.Reason != "" || s.Message != "" || condition(s, v1.PodReady).Status == v1.ConditionTrue {
		t.Errorf("phase %s (%s: %s), conditions %v while a container ends", s.Phase, s.Reason, s.Message, s.Conditions)
	}
	in.Observed = sees(exited("a", 137))
	if s := Generate(in); s.Phase != v1.PodFailed || s.Reason != "DeadlineExceeded" || s.Message != "too late" {
		t.Errorf("phase %s (%s: %s) after the last container ended", s.Phase, s.Reason, s.Message)
	}
}

// restarting gives a container a restart policy of its own, and a rule to restart on exit code 42.
func restarting(c *v1.Container, policy v1.ContainerRestartPolicy) {
	c.RestartPolicy = ptr.To(policy)
	c.RestartPolicyRules = []v1.ContainerRestartRule{{Action: v1.ContainerRestartRuleActionRestart, ExitCodes: &v1.ContainerRestartRuleOnExitCodes{Operator: v1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
}

func TestPhaseFollowsTheContainersOwnRestartPolicies(t *testing.T) {
	const always, onFailure, never = v1.ContainerRestartPolicyAlways, v1.ContainerRestartPolicyOnFailure, v1.ContainerRestartPolicyNever
	for _, tt := range []struct {
		name     string
		pod      v1.RestartPolicy
		own      v1.ContainerRestartPolicy // of container a
		observed *observed.Pod
		ending   bool
		want     v1.PodPhase
	}{
		{"restarts in a pod that does not", v1.RestartPolicyNever, always, sees(exited("a", 1)), false, v1.PodRunning},
		{"succeeded and restarts", v1.RestartPolicyNever, always, sees(exited("a", 0)), false, v1.PodRunning},
		{"restarts by a rule", v1.RestartPolicyNever, never, sees(exited("a", 42)), false, v1.PodRunning},
		{"no rule matches", v1.RestartPolicyNever, never, sees(exited("a", 43)), false, v1.PodFailed},
		{"restarts on failure", v1.RestartPolicyNever, onFailure, sees(exited("a", 1)), false, v1.PodRunning},
		{"is done", v1.RestartPolicyNever, onFailure, sees(exited("a", 0)), false, v1.PodSucceeded},
		{"failed in a pod that restarts", v1.RestartPolicyAlways, never, sees(exited("a", 1)), false, v1.PodFailed},
		{"succeeded in a pod that restarts", v1.RestartPolicyAlways, never, sees(exited("a", 0)), false, v1.PodSucceeded},
		{"failed in a pod that restarts failures", v1.RestartPolicyOnFailure, never, sees(exited("a", 1)), false, v1.PodFailed},
		{"failed beside one that runs", v1.RestartPolicyAlways, never, sees(exited("a", 1), running("b")), false, v1.PodRunning},
		{"failed beside one that restarts", v1.RestartPolicyAlways, never, sees(exited("a", 1), exited("b", 0)), false, v1.PodRunning},
		{"would restart, but the pod is deleted", v1.RestartPolicyNever, always, sees(exited("a", 42)), true, v1.PodFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pod(tt.pod, nil, "a")
			if len(tt.observed.Containers) > 1 {
				p = pod(tt.pod, nil, "a", "b")
			}
			restarting(&p.Spec.Containers[0], tt.own)
			in := input(p, tt.observed)
			in.Ending = tt.ending
			if s := Generate(in); s.Phase != tt.want {
				t.Errorf("phase %s, want %s", s.Phase, tt.want)
			}
		})
	}
}

func TestPhaseFollowsTheInitContainersOwnRestartPolicies(t *testing.T) {
	for _, tt := range []struct {
		name string
		pod  v1.RestartPolicy
		own  v1.ContainerRestartPolicy
		code int32
		want v1.PodPhase
	}{
		{"failed in a pod that restarts", v1.RestartPolicyAlways, v1.ContainerRestartPolicyNever, 1, v1.PodFailed},
		{"restarts by a rule", v1.RestartPolicyAlways, v1.ContainerRestartPolicyNever, 42, v1.PodPending},
		{"restarts in a pod that does not", v1.RestartPolicyNever, v1.ContainerRestartPolicyOnFailure, 1, v1.PodPending},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pod(tt.pod, []string{"i"}, "a")
			restarting(&p.Spec.InitContainers[0], tt.own)
			if s := Generate(input(p, sees(exited("i", tt.code)))); s.Phase != tt.want {
				t.Errorf("phase %s, want %s", s.Phase, tt.want)
			}
		})
	}
}

// A new run of a container that failed before is no failure.
func TestAnInitContainerThatRunsAgainIsPending(t *testing.T) {
	p := pod(v1.RestartPolicyNever, []string{"i"}, "a")
	restarting(&p.Spec.InitContainers[0], v1.ContainerRestartPolicyOnFailure)
	if s := Generate(input(p, sees(running("i"), exited("i", 1)))); s.Phase != v1.PodPending {
		t.Errorf("phase %s, want Pending", s.Phase)
	}
}

// Why a container could not be started last is no news when it never starts again.
func TestAContainerThatDoesNotStartAgainIsTerminated(t *testing.T) {
	failed := func(name string) *observed.Container {
		c := exited(name, 128)
		c.Reason, c.Started = "StartError", time.Unix(0, 0)
		return c
	}
	why := map[string]Waiting{"a": {Reason: "RunContainerError"}, "i": {Reason: "RunContainerError"}, "e": {Reason: "RunContainerError"}}
	for _, tt := range []struct {
		name     string
		pod      *v1.Pod
		observed *observed.Pod
		state    string
		phase    v1.PodPhase
	}{
		{"a regular one", pod(v1.RestartPolicyNever, nil, "a"), sees(failed("a")), "terminated StartError", v1.PodFailed},
		{"an init container", pod(v1.RestartPolicyNever, []string{"i"}, "a"), sees(failed("i")), "terminated StartError", v1.PodFailed},
		{"one that starts again", pod(v1.RestartPolicyOnFailure, nil, "a"), sees(failed("a")), "waiting RunContainerError", v1.PodRunning},
		{"an init container that starts again", pod(v1.RestartPolicyOnFailure, []string{"i"}, "a"), sees(failed("i")), "waiting RunContainerError", v1.PodPending},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(tt.pod, tt.observed)
			in.Waiting = why
			s := Generate(in)
			c := append(s.InitContainerStatuses, s.ContainerStatuses...)[0]
			if got := text(c.State); got != tt.state || s.Phase != tt.phase {
				t.Errorf("state %q, phase %s; want %q, %s", got, s.Phase, tt.state, tt.phase)
			}
		})
	}
	p := pod(v1.RestartPolicyAlways, nil, "a")
	p.Spec.EphemeralContainers = []v1.EphemeralContainer{{EphemeralContainerCommon: v1.EphemeralContainerCommon{Name: "e"}}}
	in := input(p, sees(running("a"), failed("e")))
	in.Waiting = why
	if got := text(Generate(in).EphemeralContainerStatuses[0].State); got != "terminated StartError" {
		t.Errorf("the ephemeral container is %q", got)
	}
}

func TestARoundThatBeginsAnewIsTold(t *testing.T) {
	p := pod(v1.RestartPolicyNever, nil, "a", "b")
	restarting(&p.Spec.Containers[0], v1.ContainerRestartPolicyNever)
	p.Spec.Containers[0].RestartPolicyRules[0].Action = v1.ContainerRestartRuleActionRestartAllContainers
	s := Generate(input(p, sees(exited("a", 42), running("b"))))
	if c := condition(s, v1.AllContainersRestarting); c.Status != v1.ConditionTrue || s.Phase != v1.PodRunning {
		t.Errorf("condition %+v, phase %s while b still runs", c, s.Phase)
	}
	s = Generate(input(p, sees(exited("a", 42), exited("b", 137))))
	b := s.ContainerStatuses[1]
	if c := condition(s, v1.AllContainersRestarting); c.Status != v1.ConditionFalse || s.Phase != v1.PodRunning || text(b.State) != "waiting ContainerCreating" || text(b.LastTerminationState) != "terminated Error" {
		t.Errorf("condition %+v, phase %s, b %+v when all have ended", c, s.Phase, b)
	}
	in := input(p, sees(exited("a", 42), exited("b", 137)))
	in.Ending = true
	if s = Generate(in); s.Phase != v1.PodFailed || text(s.ContainerStatuses[1].State) != "terminated Error" {
		t.Errorf("phase %s, b %+v of a pod that is deleted", s.Phase, s.ContainerStatuses[1])
	}
}

func TestTheStopSignalIsTold(t *testing.T) {
	for _, tt := range []struct{ specified, told, want *v1.Signal }{
		{nil, nil, nil},
		{ptr.To(v1.SIGUSR1), nil, ptr.To(v1.SIGUSR1)},
		{nil, ptr.To(v1.SIGINT), ptr.To(v1.SIGINT)},
	} {
		p, c := pod(v1.RestartPolicyAlways, nil, "a"), running("a")
		p.Spec.Containers[0].Lifecycle, c.StopSignal = &v1.Lifecycle{StopSignal: tt.specified}, tt.told
		if got := Generate(input(p, sees(c))).ContainerStatuses[0].StopSignal; ptr.Deref(got, "") != ptr.Deref(tt.want, "") {
			t.Errorf("specified %v, the runtime tells %v: %v", tt.specified, tt.told, got)
		}
	}
}

func TestVolumeMountsAreTold(t *testing.T) {
	p := pod(v1.RestartPolicyAlways, nil, "a")
	p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{
		{Name: "v", MountPath: "/rw"},
		{Name: "v", MountPath: "/ro", ReadOnly: true},
		{Name: "v", MountPath: "/all", ReadOnly: true, RecursiveReadOnly: ptr.To(v1.RecursiveReadOnlyEnabled)},
		{Name: "v", MountPath: "can", ReadOnly: true, RecursiveReadOnly: ptr.To(v1.RecursiveReadOnlyIfPossible)},
		{Name: "v", MountPath: "/cannot", ReadOnly: true, RecursiveReadOnly: ptr.To(v1.RecursiveReadOnlyIfPossible)},
	}
	c := running("a")
	c.Mounts = []*runtimeapi.Mount{{ContainerPath: "/can", Readonly: true, RecursiveReadOnly: true}, {ContainerPath: "/cannot", Readonly: true}}
	got := Generate(input(p, sees(c))).ContainerStatuses[0].VolumeMounts
	for i, want := range []v1.RecursiveReadOnlyMode{"", v1.RecursiveReadOnlyDisabled, v1.RecursiveReadOnlyEnabled, v1.RecursiveReadOnlyEnabled, v1.RecursiveReadOnlyDisabled} {
		m := p.Spec.Containers[0].VolumeMounts[i]
		if s := got[i]; s.Name != m.Name || s.MountPath != m.MountPath || s.ReadOnly != m.ReadOnly || ptr.Deref(s.RecursiveReadOnly, "") != want {
			t.Errorf("%s is told as %+v, want %q", m.MountPath, s, want)
		}
	}
	if waiting := Generate(input(p, nil)).ContainerStatuses[0].VolumeMounts; len(waiting) != 5 {
		t.Errorf("a container that waits tells %d mounts", len(waiting))
	}
}
