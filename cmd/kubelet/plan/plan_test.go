package plan

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/observed"
)

func pod(policy v1.RestartPolicy, init, regular []v1.Container) *v1.Pod {
	return &v1.Pod{Spec: v1.PodSpec{RestartPolicy: policy, InitContainers: init, Containers: regular}}
}

func named(names ...string) (out []v1.Container) {
	for _, n := range names {
		out = append(out, v1.Container{Name: n})
	}
	return out
}

func sidecar(name string) v1.Container {
	return v1.Container{Name: name, RestartPolicy: ptr.To(v1.ContainerRestartPolicyAlways)}
}

func running(name string) *observed.Container {
	return &observed.Container{Name: name, SandboxID: "s", State: runtimeapi.ContainerState_CONTAINER_RUNNING, Hash: observed.ContainerHash(&v1.Container{Name: name})}
}

func exited(name string, code int32) *observed.Container {
	c := running(name)
	c.State, c.ExitCode = runtimeapi.ContainerState_CONTAINER_EXITED, code
	return c
}

func inSandbox(containers ...*observed.Container) *observed.Pod {
	return &observed.Pod{Sandboxes: []*observed.Sandbox{{ID: "s", Ready: true, IPs: []string{"10.0.0.1"}}}, Containers: containers}
}

func TestMake(t *testing.T) {
	lost := inSandbox(running("a"))
	lost.Sandboxes[0].Ready = false
	lostFinished := inSandbox(exited("a", 0))
	lostFinished.Sandboxes[0].Ready = false
	changed := inSandbox(running("a"))
	changed.Containers[0].Hash = "other"
	tests := []struct {
		name      string
		pod       *v1.Pod
		observed  *observed.Pod
		wait      time.Duration
		unhealthy bool
		unstarted bool
		want      string
	}{
		{name: "a new pod", pod: pod(v1.RestartPolicyAlways, nil, named("a", "b")), want: "create sandbox 0\nstart regular a, restart 0\nstart regular b, restart 0\n"},
		{name: "a new pod with init containers begins with the first", pod: pod(v1.RestartPolicyAlways, named("i", "j"), named("a")), want: "create sandbox 0\nstart init i, restart 0\n"},
		{name: "the second init container follows", pod: pod(v1.RestartPolicyAlways, named("i", "j"), named("a")), observed: inSandbox(exited("i", 0)), want: "start init j, restart 0\n"},
		{name: "a running init container is waited for", pod: pod(v1.RestartPolicyAlways, named("i"), named("a")), observed: inSandbox(running("i")), want: "nothing\n"},
		{name: "a failed init container tries again", pod: pod(v1.RestartPolicyAlways, named("i"), named("a")), observed: inSandbox(exited("i", 1)), want: "start init i, restart 1\n"},
		{name: "a failed init container ends a pod that must not restart", pod: pod(v1.RestartPolicyNever, named("i"), named("a")), observed: inSandbox(exited("i", 1)), want: "kill pod\n"},
		{name: "a sidecar lets the next go when it has started", pod: pod(v1.RestartPolicyAlways, []v1.Container{sidecar("s")}, named("a")), observed: inSandbox(running("s")), want: "start regular a, restart 0\n"},
		{name: "a sidecar that has not started holds the next back", pod: pod(v1.RestartPolicyAlways, []v1.Container{sidecar("s")}, named("a")), observed: inSandbox(running("s")), unstarted: true, want: "nothing\n"},
		{name: "a sidecar that ended starts again beside the others", pod: pod(v1.RestartPolicyOnFailure, []v1.Container{sidecar("s")}, named("a")), observed: inSandbox(exited("s", 0), running("a")), want: "start init s, restart 1\n"},
		{name: "sidecars end with the pod", pod: pod(v1.RestartPolicyNever, []v1.Container{sidecar("s")}, named("a")), observed: inSandbox(running("s"), exited("a", 0)), want: "kill pod\n"},
		{name: "all runs", pod: pod(v1.RestartPolicyAlways, nil, named("a")), observed: inSandbox(running("a")), want: "nothing\n"},
		{name: "an ended container starts again", pod: pod(v1.RestartPolicyAlways, nil, named("a", "b")), observed: inSandbox(exited("a", 0), running("b")), want: "start regular a, restart 1\n"},
		{name: "but waits while it backs off", pod: pod(v1.RestartPolicyAlways, nil, named("a")), observed: inSandbox(exited("a", 1)), wait: 10 * time.Second, want: "a waits 10s\n"},
		{name: "OnFailure leaves success alone", pod: pod(v1.RestartPolicyOnFailure, nil, named("a", "b")), observed: inSandbox(exited("a", 0), exited("b", 2)), want: "start regular b, restart 1\n"},
		{name: "a finished pod gives its sandbox up", pod: pod(v1.RestartPolicyOnFailure, nil, named("a")), observed: inSandbox(exited("a", 0)), want: "kill pod\n"},
		{name: "a lost sandbox is made anew", pod: pod(v1.RestartPolicyAlways, nil, named("a")), observed: lost, want: "kill pod\ncreate sandbox 1\nstart regular a, restart 1\n"},
		{name: "a finished pod gets no new sandbox", pod: pod(v1.RestartPolicyNever, nil, named("a")), observed: lostFinished, want: "nothing\n"},
		{name: "a changed image restarts the container", pod: pod(v1.RestartPolicyAlways, nil, named("a")), observed: changed, want: "kill a: Container a definition changed, will be restarted\n"},
		{name: "a failed liveness probe restarts the container", pod: pod(v1.RestartPolicyAlways, nil, named("a")), observed: inSandbox(running("a")), unhealthy: true, want: "kill a: Container a failed liveness probe, will be restarted\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Make(Input{Pod: tt.pod, Observed: tt.observed, Wait: func(*observed.Container) time.Duration { return tt.wait },
				Unhealthy: func(c *observed.Container) (string, bool) {
					return "Container " + c.Name + " failed liveness probe, will be restarted", tt.unhealthy
				},
				Started: func(*observed.Container) bool { return !tt.unstarted }}).String()
			if got != tt.want {
				t.Errorf("plan:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}

func TestBackoffDoublesAndForgets(t *testing.T) {
	b := NewBackoff(time.Minute)
	start := time.Unix(1000, 0)
	c := &observed.Container{Name: "a", Started: start, Finished: start.Add(time.Second)}
	for i, want := range []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		if got := b.Wait("uid", c, c.Finished); got != want {
			t.Errorf("restart %d waits %v, want %v", i, got, want)
		}
		if got := b.Period("uid", "a"); got != want {
			t.Errorf("restart %d has a period of %v, want %v", i, got, want)
		}
		b.Restarted("uid", "a")
	}
	c.Finished = c.Started.Add(forgetAfter)
	if got := b.Wait("uid", c, c.Finished); got != 0 {
		t.Errorf("after ten good minutes it waits %v, want 0", got)
	}
}

// A runtime tells no start of a container whose command is not there.
func TestBackoffHoldsForAContainerThatCannotBeStarted(t *testing.T) {
	b := NewBackoff(time.Minute)
	now := time.Unix(1_000_000, 0)
	for _, started := range []time.Time{{}, time.Unix(0, 0)} {
		b.Restarted("uid", "a")
		c := &observed.Container{Name: "a", Started: started, Finished: now}
		if got := b.Wait("uid", c, now); got < InitialBackoff {
			t.Errorf("started %v: it waits %v, want %v at least", started, got, InitialBackoff)
		}
	}
}

func own(policy v1.ContainerRestartPolicy, name string) v1.Container {
	return v1.Container{Name: name, RestartPolicy: ptr.To(policy)}
}

func TestMakeByTheContainersOwnRestartPolicies(t *testing.T) {
	const always, onFailure, never = v1.ContainerRestartPolicyAlways, v1.ContainerRestartPolicyOnFailure, v1.ContainerRestartPolicyNever
	lost := func(containers ...*observed.Container) *observed.Pod {
		p := inSandbox(containers...)
		p.Sandboxes[0].Ready = false
		return p
	}
	elsewhere := func(c *observed.Container) *observed.Container {
		c.SandboxID = "old"
		return c
	}
	neverInit, retryingInit := []v1.Container{own(never, "i")}, []v1.Container{own(onFailure, "i")}
	withRule := own(never, "a")
	withRule.RestartPolicyRules = []v1.ContainerRestartRule{{Action: v1.ContainerRestartRuleActionRestart, ExitCodes: &v1.ContainerRestartRuleOnExitCodes{Operator: v1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
	for _, tt := range []struct {
		name     string
		pod      *v1.Pod
		observed *observed.Pod
		wait     time.Duration
		want     string
	}{
		{name: "restarts in a pod that does not", pod: pod(v1.RestartPolicyNever, nil, []v1.Container{own(always, "a")}), observed: inSandbox(exited("a", 0)), want: "start regular a, restart 1\n"},
		{name: "restarts by a rule", pod: pod(v1.RestartPolicyNever, nil, []v1.Container{withRule}), observed: inSandbox(exited("a", 42)), want: "start regular a, restart 1\n"},
		{name: "no rule matches", pod: pod(v1.RestartPolicyNever, nil, []v1.Container{withRule}), observed: inSandbox(exited("a", 1)), want: "kill pod\n"},
		{name: "its sandbox is lost", pod: pod(v1.RestartPolicyNever, nil, append(named("b"), own(always, "a"))), observed: lost(exited("a", 137), exited("b", 0)), want: "kill pod\ncreate sandbox 1\nstart regular a, restart 1\n"},
		{name: "ended in a pod that restarts", pod: pod(v1.RestartPolicyAlways, nil, []v1.Container{own(never, "a")}), observed: inSandbox(exited("a", 1)), want: "kill pod\n"},
		{name: "and stays so", pod: pod(v1.RestartPolicyAlways, nil, []v1.Container{own(never, "a")}), observed: lost(exited("a", 1)), want: "nothing\n"},
		{name: "an init container that failed ends a pod that restarts", pod: pod(v1.RestartPolicyAlways, neverInit, named("a")), observed: inSandbox(exited("i", 1)), want: "kill pod\n"},
		{name: "which stays so", pod: pod(v1.RestartPolicyAlways, neverInit, named("a")), observed: lost(exited("i", 1)), want: "nothing\n"},
		{name: "even if it had begun before", pod: pod(v1.RestartPolicyAlways, neverInit, named("a")), observed: lost(exited("i", 1), exited("a", 137)), want: "nothing\n"},
		{name: "an init container tries again in a pod that does not", pod: pod(v1.RestartPolicyNever, retryingInit, named("a")), observed: inSandbox(exited("i", 1)), want: "start init i, restart 1\n"},
		{name: "also when its sandbox is lost", pod: pod(v1.RestartPolicyNever, retryingInit, named("a")), observed: lost(exited("i", 137)), want: "kill pod\ncreate sandbox 1\nstart init i, restart 1\n"},
		{name: "an init container backs off in a new sandbox too", pod: pod(v1.RestartPolicyAlways, named("i"), named("a")), observed: lost(exited("i", 1)), wait: 10 * time.Second, want: "kill pod\ncreate sandbox 1\ni waits 10s\n"},
		{name: "what ended for good in an earlier sandbox has ended", pod: pod(v1.RestartPolicyOnFailure, []v1.Container{sidecar("s")}, named("a", "b")), observed: inSandbox(running("s"), exited("b", 0), elsewhere(exited("a", 0))), want: "kill pod\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Make(Input{Pod: tt.pod, Observed: tt.observed, Wait: func(*observed.Container) time.Duration { return tt.wait },
				Unhealthy: func(*observed.Container) (string, bool) { return "", false }, Started: func(*observed.Container) bool { return true }}).String()
			if got != tt.want {
				t.Errorf("plan:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}
