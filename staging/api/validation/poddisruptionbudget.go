package validation

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func disruptionBudgetCreate(b *policyv1.PodDisruptionBudget) *faults {
	f := metadata(&b.ObjectMeta, namespaced, subdomainName)
	disruptionBudgetSpec(f, &b.Spec, true)
	return f
}

func disruptionBudgetUpdate(b, old *policyv1.PodDisruptionBudget) *faults {
	f := metadataUpdate(&b.ObjectMeta, &old.ObjectMeta)
	disruptionBudgetSpec(f, &b.Spec, !loose(old.Spec.Selector))
	return f
}

func disruptionBudgetSpec(f *faults, s *policyv1.PodDisruptionBudgetSpec, strict bool) {
	p := field.NewPath("spec")
	if s.MinAvailable != nil && s.MaxUnavailable != nil {
		f.invalid(p, "", *s, "minAvailable and maxUnavailable cannot be both set")
	}
	intOrPercent(f, s.MinAvailable, p, "minAvailable")
	atMostAll(f, s.MinAvailable, p, "minAvailable")
	intOrPercent(f, s.MaxUnavailable, p, "maxUnavailable")
	atMostAll(f, s.MaxUnavailable, p, "maxUnavailable")
	if s.UnhealthyPodEvictionPolicy != nil {
		oneOf(f, p, "unhealthyPodEvictionPolicy", *s.UnhealthyPodEvictionPolicy, policyv1.AlwaysAllow, policyv1.IfHealthyBudget)
	}
	selector(f, s.Selector, strict, p.Child("selector"))
}

func disruptionBudgetStatus(b, old *policyv1.PodDisruptionBudget) *faults {
	f := metadataUpdate(&b.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	s := &b.Status
	conditionsOf(f, s.Conditions, p.Child("conditions"))
	counts(f, p, count{"disruptionsAllowed", int64(s.DisruptionsAllowed)}, count{"currentHealthy", int64(s.CurrentHealthy)},
		count{"desiredHealthy", int64(s.DesiredHealthy)}, count{"expectedPods", int64(s.ExpectedPods)})
	return f
}
