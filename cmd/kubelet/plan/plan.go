// Package plan decides what to do next for a pod: a pure function of what the pod should be and what the runtime
// says it is. The plan prints itself.
package plan

import (
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/observed"
)

// Kind tells the lists of a pod's containers apart.
type Kind string

const (
	Init      Kind = "init"
	Regular   Kind = "regular"
	Ephemeral Kind = "ephemeral"
)

// Input is what a plan is made from.
type Input struct {
	Pod      *v1.Pod
	Observed *observed.Pod // nil: the runtime knows nothing of the pod
	Now      time.Time
	// Wait is how long a container that ended must still wait before it may start again.
	Wait func(c *observed.Container) time.Duration
	// Unhealthy reports that a probe wants the container ended, and why.
	Unhealthy func(c *observed.Container) (reason string, unhealthy bool)
	// Outdated tells which resources of a running container differ from its specification; nil: none do.
	Outdated func(spec *v1.Container, c *observed.Container) (cpu, memory bool)
	// Started reports that the container's startup probe, if it has one, has succeeded.
	Started func(c *observed.Container) bool

	round time.Time // when the present round of containers began
}

// Plan is what to do, in this order: end containers, end the sandbox, make one, start containers.
type Plan struct {
	KillPod bool // end all containers and the sandbox
	Kill    []Kill
	Resize  []Resize
	// EndRound are containers to end at once, without grace and hooks: all containers start anew in place (KEP-5532).
	EndRound      []*observed.Container
	CreateSandbox bool
	Attempt       uint32 // of the sandbox to make
	SandboxID     string // of the sandbox that stays
	Start         []Start
	// RetryAfter is when the plan should be made again although nothing happens; 0: not needed.
	RetryAfter time.Duration
	// BackingOff are the containers that wait before they start again, with how long.
	BackingOff map[string]time.Duration
}

// Kill ends a container.
type Kill struct {
	Container *observed.Container
	Reason    string
	// Failed: a liveness or startup probe did it; its grace period may be the probe's own.
	Failed bool
}

// Resize gives a running container the resources of its specification (KEP-1287).
type Resize struct {
	Container *observed.Container
	Spec      *v1.Container
}

// Start starts a container.
type Start struct {
	Container *v1.Container
	Kind      Kind
	Attempt   int // restart count
}

// Nothing reports that there is nothing to do now.
func (p Plan) Nothing() bool {
	return !p.KillPod && !p.CreateSandbox && len(p.Kill) == 0 && len(p.Resize) == 0 && len(p.EndRound) == 0 && len(p.Start) == 0
}

// String prints the plan a line a step.
func (p Plan) String() string {
	var b strings.Builder
	if p.KillPod {
		b.WriteString("kill pod\n")
	}
	for _, k := range p.Kill {
		fmt.Fprintf(&b, "kill %s: %s\n", k.Container.Name, k.Reason)
	}
	for _, c := range p.EndRound {
		fmt.Fprintf(&b, "end %s at once: all start anew\n", c.Name)
	}
	for _, r := range p.Resize {
		fmt.Fprintf(&b, "resize %s\n", r.Spec.Name)
	}
	if p.CreateSandbox {
		fmt.Fprintf(&b, "create sandbox %d\n", p.Attempt)
	}
	for _, s := range p.Start {
		fmt.Fprintf(&b, "start %s %s, restart %d\n", s.Kind, s.Container.Name, s.Attempt)
	}
	for name, wait := range p.BackingOff {
		fmt.Fprintf(&b, "%s waits %v\n", name, wait)
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// Make plans the next steps of a pod that should run.
func Make(in Input) Plan {
	p := Plan{BackingOff: map[string]time.Duration{}}
	in.round = Round(in.Pod, in.Observed)
	sandbox := in.Observed.Sandbox()
	if !usable(in.Pod, sandbox) {
		planSandbox(&p, in, sandbox)
		return p
	}
	p.SandboxID = sandbox.ID
	if p.EndRound = RunningOfLastRound(in.Pod, in.Observed); len(p.EndRound) > 0 {
		return p
	}
	b := builder{plan: &p, in: in, sandbox: sandbox.ID}
	b.ephemeral()
	if initialised := b.init(); initialised && !p.KillPod {
		b.regular()
	}
	return p
}

// usable reports whether the sandbox serves the pod as it is.
func usable(pod *v1.Pod, s *observed.Sandbox) bool {
	return s != nil && s.Ready && s.HostNetwork == pod.Spec.HostNetwork && (pod.Spec.HostNetwork || len(s.IPs) > 0)
}

// planSandbox plans a pod without a usable sandbox: all containers end with it, and what must run starts anew.
func planSandbox(p *Plan, in Input, old *observed.Sandbox) {
	p.KillPod = in.Observed.AnyRunning() || (old != nil && old.Ready)
	if in.Observed.AnyRunning() && !alwaysRestarts(in.Pod) {
		return // how they end decides what starts again
	}
	if finished(in) || (old != nil && endsWithSandbox(in)) {
		return // it ran its course; a new sandbox would run it twice
	}
	p.CreateSandbox = true
	if old != nil {
		p.Attempt = old.Attempt + 1
		p.KillPod = true // the lost sandbox's network is given back before another takes its place
	}
	b := builder{plan: p, in: in}
	if len(in.Pod.Spec.InitContainers) > 0 {
		first := &in.Pod.Spec.InitContainers[0]
		b.startAgain(first, Init, in.Observed.Newest(first.Name))
		return
	}
	for i := range in.Pod.Spec.Containers {
		if c := &in.Pod.Spec.Containers[i]; !over(in, c) {
			b.startAgain(c, Regular, in.Observed.Newest(c.Name))
		}
	}
}

// builder adds steps to a plan.
type builder struct {
	plan    *Plan
	in      Input
	sandbox string
}

// present is the newest container of the name in the present sandbox and round.
func (b *builder) present(name string) *observed.Container {
	for _, c := range b.in.Observed.Containers {
		if c.Name == name && c.SandboxID == b.sandbox && !c.Created.Before(b.in.round) {
			return c
		}
	}
	return nil
}

func (b *builder) start(c *v1.Container, kind Kind) {
	attempt := 0
	if last := b.in.Observed.Newest(c.Name); last != nil {
		attempt = last.RestartCount + 1
	}
	b.plan.Start = append(b.plan.Start, Start{Container: c, Kind: kind, Attempt: attempt})
}

// startAgain starts a container that ended, after its back-off.
func (b *builder) startAgain(c *v1.Container, kind Kind, ended *observed.Container) {
	if ended != nil && ended.Exited() {
		if wait := b.in.Wait(ended); wait > 0 {
			b.plan.BackingOff[c.Name] = wait
			if b.plan.RetryAfter == 0 || wait < b.plan.RetryAfter {
				b.plan.RetryAfter = wait
			}
			return
		}
	}
	b.start(c, kind)
}

func (b *builder) kill(c *observed.Container, reason string, failed bool) {
	b.plan.Kill = append(b.plan.Kill, Kill{Container: c, Reason: reason, Failed: failed})
}

// ephemeral starts debugging containers once each; they never start again (KEP-277).
func (b *builder) ephemeral() {
	for i := range b.in.Pod.Spec.EphemeralContainers {
		c := (*v1.Container)(&b.in.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if b.in.Observed.Newest(c.Name) == nil {
			b.plan.Start = append(b.plan.Start, Start{Container: c, Kind: Ephemeral})
		}
	}
}

// init plans init containers and sidecars, and reports whether the regular containers may run.
func (b *builder) init() bool {
	begun := false
	for i := range b.in.Pod.Spec.Containers {
		begun = begun || b.present(b.in.Pod.Spec.Containers[i].Name) != nil
	}
	done := begun && finished(b.in)
	for i := range b.in.Pod.Spec.InitContainers {
		c := &b.in.Pod.Spec.InitContainers[i]
		if IsSidecar(c) {
			if !done && !b.sidecar(c) && !begun {
				return false // the next ones wait until it has started
			}
			continue
		}
		if begun {
			continue
		}
		if next := b.initContainer(c); !next {
			return false
		}
	}
	return true
}

// initContainer plans one that must succeed before the next begins, and reports whether it has.
func (b *builder) initContainer(c *v1.Container) bool {
	now := b.present(c.Name)
	switch {
	case now == nil:
		b.startAgain(c, Init, b.in.Observed.Newest(c.Name))
	case b.lost(c, Init, now):
	case now.Exited() && now.ExitCode == 0:
		return true
	case now.Exited() && !StartsAgain(b.in.Pod, c, now.ExitCode):
		b.plan.KillPod = true // the pod has failed
	case now.Exited():
		b.startAgain(c, Init, now)
	case now.Running() && now.Hash != observed.ContainerHash(c):
		b.kill(now, fmt.Sprintf("Init container %s definition changed", c.Name), false)
	}
	return false
}

// sidecar plans one that runs as long as the pod, and reports whether it has started.
func (b *builder) sidecar(c *v1.Container) bool {
	now := b.present(c.Name)
	switch {
	case now == nil:
		b.startAgain(c, Init, b.in.Observed.Newest(c.Name))
		return false
	case b.lost(c, Init, now):
		return false
	case now.Exited():
		b.startAgain(c, Init, now)
		return false
	}
	b.check(c, now)
	return b.in.Started(now)
}

// regular plans the containers that are the pod's purpose; when all have ended for good, so has the pod.
func (b *builder) regular() {
	if finished(b.in) {
		b.plan.KillPod = true
		b.plan.Start = nil
		return
	}
	for i := range b.in.Pod.Spec.Containers {
		c := &b.in.Pod.Spec.Containers[i]
		now := b.present(c.Name)
		switch {
		case now == nil:
			if !over(b.in, c) {
				b.startAgain(c, Regular, b.in.Observed.Newest(c.Name))
			}
		case b.lost(c, Regular, now):
		case now.Exited():
			if StartsAgain(b.in.Pod, c, now.ExitCode) {
				b.startAgain(c, Regular, now)
			}
		case now.Running():
			b.check(c, now)
		}
	}
}

// check ends a container that changed or that a probe found dead; the next plan starts it again.
func (b *builder) check(c *v1.Container, now *observed.Container) {
	if now.Hash != observed.ContainerHash(c) {
		b.kill(now, fmt.Sprintf("Container %s definition changed, will be restarted", c.Name), false)
	} else if reason, unhealthy := b.in.Unhealthy(now); unhealthy {
		b.kill(now, reason, true)
	} else if b.in.Outdated != nil {
		b.resize(c, now)
	}
}

// resize follows changed resources, by a restart where the container's resizePolicy wants one.
func (b *builder) resize(c *v1.Container, now *observed.Container) {
	cpu, memory := b.in.Outdated(c, now)
	if !cpu && !memory {
		return
	}
	for _, p := range c.ResizePolicy {
		if p.RestartPolicy == v1.RestartContainer && (p.ResourceName == v1.ResourceCPU && cpu || p.ResourceName == v1.ResourceMemory && memory) {
			b.kill(now, fmt.Sprintf("Container %s resize requires restart", c.Name), false)
			return
		}
	}
	b.plan.Resize = append(b.plan.Resize, Resize{Container: now, Spec: c})
}

// lost plans for a container that neither runs nor has ended: a kubelet that was killed created it and did not start it,
// or the runtime has lost it. It reports whether this was so.
func (b *builder) lost(c *v1.Container, kind Kind, now *observed.Container) bool {
	switch now.State {
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		b.start(c, kind)
	case runtimeapi.ContainerState_CONTAINER_UNKNOWN:
		b.kill(now, fmt.Sprintf("Container %s is in an unknown state, try killing it before restart", c.Name), false)
	default:
		return false
	}
	return true
}
