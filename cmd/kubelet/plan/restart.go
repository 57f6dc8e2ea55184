package plan

import (
	"slices"

	v1 "k8s.io/api/core/v1"
)

// IsSidecar tells an init container that runs beside the regular ones (KEP-753).
func IsSidecar(c *v1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
}

// StartsAgain tells whether a container that ended with the exit code starts again: by the first of its own rules that
// matches, or else its own restart policy (KEP-5307), or else the pod's. Ephemeral containers never do; do not ask.
func StartsAgain(pod *v1.Pod, c *v1.Container, exitCode int32) bool {
	if action := matched(c, exitCode); action != "" {
		return action == v1.ContainerRestartRuleActionRestart || action == v1.ContainerRestartRuleActionRestartAllContainers
	}
	policy := v1.ContainerRestartPolicy(pod.Spec.RestartPolicy)
	if c.RestartPolicy != nil {
		policy = *c.RestartPolicy
	}
	switch policy {
	case v1.ContainerRestartPolicyNever:
		return false
	case v1.ContainerRestartPolicyOnFailure:
		return exitCode != 0
	}
	return true
}

// matched is the action of the container's first rule that the exit code matches; empty: none does.
func matched(c *v1.Container, exitCode int32) v1.ContainerRestartRuleAction {
	for _, rule := range c.RestartPolicyRules {
		if codes := rule.ExitCodes; codes != nil && slices.Contains(codes.Values, exitCode) == (codes.Operator == v1.ContainerRestartRuleOnExitCodesOpIn) {
			return rule.Action
		}
	}
	return ""
}

// over reports that the container has ended and does not start again.
func over(in Input, c *v1.Container) bool {
	last := in.newest(c.Name)
	return last != nil && last.Exited() && !StartsAgain(in.Pod, c, last.ExitCode)
}

// finished reports that the pod has ended for good: an init container has failed, or every regular one has ended.
func finished(in Input) bool {
	for i := range in.Pod.Spec.InitContainers {
		if c := &in.Pod.Spec.InitContainers[i]; over(in, c) && in.newest(c.Name).ExitCode != 0 {
			return true
		}
	}
	return !slices.ContainsFunc(in.Pod.Spec.Containers, func(c v1.Container) bool { return !over(in, &c) })
}

// alwaysRestarts reports that every regular container starts again however it ends.
func alwaysRestarts(pod *v1.Pod) bool {
	return pod.Spec.RestartPolicy == v1.RestartPolicyAlways && !slices.ContainsFunc(pod.Spec.Containers, func(c v1.Container) bool { return c.RestartPolicy != nil })
}

// endsWithSandbox reports that a pod that must not restart has run, and no container starts it again by a policy of its
// own.
func endsWithSandbox(in Input) bool {
	if in.Pod.Spec.RestartPolicy != v1.RestartPolicyNever || in.Observed == nil || len(in.Observed.Containers) == 0 {
		return false
	}
	startsAgain := func(c v1.Container) bool {
		last := in.Observed.Newest(c.Name)
		return last != nil && last.Exited() && StartsAgain(in.Pod, &c, last.ExitCode)
	}
	return !slices.ContainsFunc(in.Pod.Spec.InitContainers, startsAgain) && !slices.ContainsFunc(in.Pod.Spec.Containers, startsAgain)
}
