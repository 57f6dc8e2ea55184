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
	for _, rule := range c.RestartPolicyRules {
		if matches(rule.ExitCodes, exitCode) {
			return rule.Action == v1.ContainerRestartRuleActionRestart
		}
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

func matches(codes *v1.ContainerRestartRuleOnExitCodes, exitCode int32) bool {
	return codes != nil && slices.Contains(codes.Values, exitCode) == (codes.Operator == v1.ContainerRestartRuleOnExitCodesOpIn)
}
