package job

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// verdict is what spec.podFailurePolicy (KEP-3329) makes of a failed pod.
type verdict struct {
	action  batchv1.PodFailurePolicyAction
	message string // for FailJob
}

// counts tells whether the failure counts towards the back-off limits.
func (v verdict) counts() bool { return v.action != batchv1.PodFailurePolicyActionIgnore }

// judge applies the first rule that matches; without one a failure counts.
func judge(policy *batchv1.PodFailurePolicy, pod *v1.Pod) verdict {
	if policy == nil {
		return verdict{action: batchv1.PodFailurePolicyActionCount}
	}
	for i, rule := range policy.Rules {
		if rule.OnExitCodes != nil {
			if c := exitedLike(pod, rule.OnExitCodes); c != nil {
				return verdict{rule.Action, fmt.Sprintf("Container %s for pod %s/%s failed with exit code %v matching %v rule at index %d",
					c.Name, pod.Namespace, pod.Name, c.State.Terminated.ExitCode, rule.Action, i)}
			}
			continue
		}
		if c := conditionLike(pod, rule.OnPodConditions); c != nil {
			return verdict{rule.Action, fmt.Sprintf("Pod %s/%s has condition %v matching %v rule at index %d", pod.Namespace, pod.Name, c.Type, rule.Action, i)}
		}
	}
	return verdict{action: batchv1.PodFailurePolicyActionCount}
}

func exitedLike(pod *v1.Pod, want *batchv1.PodFailurePolicyOnExitCodesRequirement) *v1.ContainerStatus {
	for _, list := range [][]v1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			c := &list[i]
			if c.State.Terminated == nil || c.State.Terminated.ExitCode == 0 || want.ContainerName != nil && *want.ContainerName != c.Name {
				continue
			}
			listed := slices.Contains(want.Values, c.State.Terminated.ExitCode)
			if listed == (want.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn) {
				return c
			}
		}
	}
	return nil
}

func conditionLike(pod *v1.Pod, wanted []batchv1.PodFailurePolicyOnPodConditionsPattern) *v1.PodCondition {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if slices.ContainsFunc(wanted, func(w batchv1.PodFailurePolicyOnPodConditionsPattern) bool {
			return w.Type == c.Type && (w.Status == c.Status || w.Status == "" && c.Status == v1.ConditionTrue)
		}) {
			return c
		}
	}
	return nil
}

// succeeds returns the message of the first rule of spec.successPolicy (KEP-3998) that the succeeded indexes fulfil.
func succeeds(policy *batchv1.SuccessPolicy, completions int, done indexes) (string, bool) {
	if policy == nil {
		return "", false
	}
	for i, rule := range policy.Rules {
		matched := false
		switch {
		case rule.SucceededIndexes != nil:
			want := parseIndexes(*rule.SucceededIndexes, completions)
			matched = want.overlap(done) >= int(ptr.Deref(rule.SucceededCount, int32(want.total())))
		case rule.SucceededCount != nil:
			matched = done.total() >= int(*rule.SucceededCount)
		}
		if matched {
			return fmt.Sprintf("Matched rules at index %d", i), true
		}
	}
	return "", false
}
