package validation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Sizes of the policies of a job (KEP-3329, KEP-3998).
const (
	maxFailureRules     = 20
	maxExitCodes        = 255
	maxPodConditions    = 20
	maxSuccessRules     = 20
	maxSucceededIndexes = 64 * 1024
)

func podFailurePolicy(f *faults, s *batchv1.JobSpec, p *field.Path) {
	rules := p.Child("rules")
	f.tooMany(rules, "", len(s.PodFailurePolicy.Rules), maxFailureRules)
	for i := range s.PodFailurePolicy.Rules {
		rule := &s.PodFailurePolicy.Rules[i]
		at := rules.Index(i)
		switch rule.Action {
		case "":
			f.required(at, "action", `valid values: "Count", "FailIndex", "FailJob", "Ignore"`)
		case batchv1.PodFailurePolicyActionFailIndex:
			if s.BackoffLimitPerIndex == nil {
				f.invalid(at, "action", rule.Action, "requires the backoffLimitPerIndex to be set")
			}
		default:
			oneOf(f, at, "action", rule.Action, batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex, batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)
		}
		switch {
		case rule.OnExitCodes != nil && len(rule.OnPodConditions) > 0:
			f.invalid(at, "", field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported")
		case rule.OnExitCodes == nil && len(rule.OnPodConditions) == 0:
			f.invalid(at, "", field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required")
		}
		if rule.OnExitCodes != nil {
			onExitCodes(f, rule.OnExitCodes, &s.Template.Spec, at.Child("onExitCodes"))
		}
		conditions := at.Child("onPodConditions")
		f.tooMany(conditions, "", len(rule.OnPodConditions), maxPodConditions)
		for j, c := range rule.OnPodConditions {
			f.messages(conditions.Index(j), "type", string(c.Type), validation.IsQualifiedName(string(c.Type)))
			requireOneOf(f, conditions.Index(j), "status", c.Status, corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown)
		}
	}
}

func onExitCodes(f *faults, r *batchv1.PodFailurePolicyOnExitCodesRequirement, s *corev1.PodSpec, p *field.Path) {
	requireOneOf(f, p, "operator", r.Operator, batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	if r.ContainerName != nil && !targetExists(s, *r.ContainerName) {
		f.invalid(p, "containerName", *r.ContainerName, "must be one of the container or initContainer names in the pod template")
	}
	values := p.Child("values")
	if len(r.Values) == 0 {
		f.invalid(values, "", r.Values, "at least one value is required")
	} else {
		f.tooMany(values, "", len(r.Values), maxExitCodes)
	}
	var codes seen[int32]
	for i, v := range r.Values {
		if v == 0 && r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			f.invalid(values.Index(i), "", v, "must not be 0 for the In operator")
		}
		if codes.again(v) {
			f.duplicate(values.Index(i), "", v)
		}
	}
	if len(r.Values) > 1 && !slices.IsSorted(r.Values) {
		f.invalid(values, "", r.Values, "must be ordered")
	}
}

func successPolicy(f *faults, s *batchv1.JobSpec, p *field.Path) {
	if !indexed(s) {
		f.invalid(p, "", *s.SuccessPolicy, "requires indexed completion mode")
		return
	}
	rules := p.Child("rules")
	if len(s.SuccessPolicy.Rules) == 0 {
		f.required(rules, "", "at least one rules must be specified when the successPolicy is specified")
	}
	f.tooMany(rules, "", len(s.SuccessPolicy.Rules), maxSuccessRules)
	for i, rule := range s.SuccessPolicy.Rules {
		at := rules.Index(i)
		if rule.SucceededCount == nil && rule.SucceededIndexes == nil {
			f.required(at, "", "at least one of succeededCount or succeededIndexes must be specified")
		}
		completions := valueOr(s.Completions, 0)
		total := completions
		if rule.SucceededIndexes != nil {
			n, err := indexCount(*rule.SucceededIndexes, completions)
			switch {
			case len(*rule.SucceededIndexes) > maxSucceededIndexes:
				f.tooLong(at, "succeededIndexes", maxSucceededIndexes)
			case err != nil:
				f.invalid(at, "succeededIndexes", *rule.SucceededIndexes, fmt.Sprintf("error parsing succeededIndexes: %s", err))
			default:
				total = n
			}
		}
		if c := rule.SucceededCount; c != nil {
			f.notNegative(at, "succeededCount", int64(*c))
			if *c > completions {
				f.invalid(at, "succeededCount", *c, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions))
			}
			if rule.SucceededIndexes != nil && *c > total {
				f.invalid(at, "succeededCount", *c, fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", total))
			}
		}
	}
}

// indexCount counts the indexes of a text like "1,3-5": ascending, without overlap, below the number of completions.
func indexCount(text string, completions int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	var total int32
	last := int32(-1)
	for part := range strings.SplitSeq(text, ",") {
		low, high, interval := strings.Cut(part, "-")
		if !interval {
			high = low
		}
		a, err := strconv.ParseInt(low, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("cannot convert string to integer for index: %q", low)
		}
		b, err := strconv.ParseInt(high, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("cannot convert string to integer for index: %q", high)
		}
		switch {
		case interval && a >= b, int32(a) <= last:
			return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", last, a)
		case int32(b) >= completions:
			return 0, fmt.Errorf("too large index: %q", part)
		}
		total += int32(b-a) + 1
		last = int32(b)
	}
	return total, nil
}
