package quota

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// matchesValue judges a scope with an operator and values against the one value that an object has, if any.
func matchesValue(s corev1.ScopedResourceSelectorRequirement, value string) (bool, error) {
	var op selection.Operator
	switch s.Operator {
	case corev1.ScopeSelectorOpIn:
		op = selection.In
	case corev1.ScopeSelectorOpNotIn:
		op = selection.NotIn
	case corev1.ScopeSelectorOpExists:
		op = selection.Exists
	case corev1.ScopeSelectorOpDoesNotExist:
		op = selection.DoesNotExist
	default:
		return false, fmt.Errorf("scope %s: %q is not a valid operator", s.ScopeName, s.Operator)
	}
	r, err := labels.NewRequirement(string(s.ScopeName), op, s.Values)
	if err != nil {
		return false, fmt.Errorf("scope %s: %w", s.ScopeName, err)
	}
	set := labels.Set{}
	if value != "" {
		set[string(s.ScopeName)] = value
	}
	return r.Matches(set), nil
}

// matching returns the scopes that an object matches.
func matching(scopes []corev1.ScopedResourceSelectorRequirement, match func(corev1.ScopedResourceSelectorRequirement) (bool, error)) ([]corev1.ScopedResourceSelectorRequirement, error) {
	out := []corev1.ScopedResourceSelectorRequirement{}
	for _, s := range scopes {
		ok, err := match(s)
		if err != nil {
			return out, fmt.Errorf("error on Matching scope %v: %w", s, err)
		}
		if ok {
			out = append(out, s)
		}
	}
	return out, nil
}

// uncovered returns those limited scopes for which no quota was found.
func uncovered(limited, matched []corev1.ScopedResourceSelectorRequirement) []corev1.ScopedResourceSelectorRequirement {
	out := []corev1.ScopedResourceSelectorRequirement{}
	for _, l := range limited {
		found := false
		for _, m := range matched {
			found = found || l.ScopeName == m.ScopeName
		}
		if !found {
			out = append(out, l)
		}
	}
	return out
}
