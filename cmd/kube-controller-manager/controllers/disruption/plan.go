// Package disruption keeps the status of PodDisruptionBudgets, which the eviction API decides by.
package disruption

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	intstrutil "k8s.io/apimachinery/pkg/util/intstr"
	helper "k8s.io/component-helpers/apps/poddisruptionbudget"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// patience is how long an evicted pod may take until its deletion is seen; after it the eviction counts as lost.
const patience = 2 * time.Minute

// Input is all that a decision depends on.
type Input struct {
	Budget *policyv1.PodDisruptionBudget
	// Pods are those that the budget selects.
	Pods []*v1.Pod
	// Expected is the number of pods that the controllers of the pods want in total; only read where Scaled says so.
	Expected int
	Now      time.Time
}

// Scaled tells whether a budget is a share of what controllers want, so that Input.Expected is needed.
func Scaled(b *policyv1.PodDisruptionBudget) bool {
	return b.Spec.MaxUnavailable != nil || b.Spec.MinAvailable != nil && b.Spec.MinAvailable.Type == intstrutil.String
}

// Plan is the new status of a budget.
type Plan struct {
	Status policyv1.PodDisruptionBudgetStatus
	// Lost are names of pods whose eviction was granted, and that were not deleted in time.
	Lost []string
	// Wake is when the next granted eviction counts as lost.
	Wake time.Duration
}

// String prints the plan.
func (p Plan) String() string {
	s := p.Status
	return fmt.Sprintf("expected %d, desired %d, healthy %d, allowed %d\n", s.ExpectedPods, s.DesiredHealthy, s.CurrentHealthy, s.DisruptionsAllowed)
}

// Decide makes the plan.
func Decide(in Input) (Plan, error) {
	expected, desired, err := wanted(in)
	if err != nil {
		return Plan{}, err
	}
	var p Plan
	disrupted := map[string]metav1.Time{}
	healthy := 0
	for _, pod := range in.Pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		if at, granted := in.Budget.Status.DisruptedPods[pod.Name]; granted {
			if left := at.Add(patience).Sub(in.Now); left > 0 {
				disrupted[pod.Name] = at
				if p.Wake == 0 || left < p.Wake {
					p.Wake = left
				}
				continue
			}
			p.Lost = append(p.Lost, pod.Name)
		}
		if pods.Ready(pod) {
			healthy++
		}
	}
	allowed := healthy - desired
	if expected <= 0 || allowed < 0 {
		allowed = 0
	}
	budget := in.Budget.DeepCopy()
	budget.Status = policyv1.PodDisruptionBudgetStatus{
		CurrentHealthy: int32(healthy), DesiredHealthy: int32(desired), ExpectedPods: int32(expected), DisruptionsAllowed: int32(allowed),
		DisruptedPods: disrupted, ObservedGeneration: in.Budget.Generation, Conditions: budget.Status.Conditions,
	}
	helper.UpdateDisruptionAllowedCondition(budget)
	p.Status = budget.Status
	return p, nil
}

// wanted returns how many pods there should be, and how many of them healthy.
func wanted(in Input) (expected, desired int, err error) {
	spec := in.Budget.Spec
	switch {
	case spec.MaxUnavailable != nil:
		down, err := intstrutil.GetScaledValueFromIntOrPercent(spec.MaxUnavailable, in.Expected, true)
		if err != nil {
			return 0, 0, fmt.Errorf("spec.maxUnavailable: %w", err)
		}
		return in.Expected, max(0, in.Expected-down), nil
	case spec.MinAvailable == nil:
		return len(in.Pods), 0, nil
	case spec.MinAvailable.Type == intstrutil.Int:
		return len(in.Pods), spec.MinAvailable.IntValue(), nil
	}
	desired, err = intstrutil.GetScaledValueFromIntOrPercent(spec.MinAvailable, in.Expected, true)
	if err != nil {
		return 0, 0, fmt.Errorf("spec.minAvailable: %w", err)
	}
	return in.Expected, desired, nil
}

// Failed is the status of a budget that could not be computed: nothing may be disrupted.
func Failed(b *policyv1.PodDisruptionBudget, cause error) policyv1.PodDisruptionBudgetStatus {
	status := *b.Status.DeepCopy()
	status.DisruptionsAllowed = 0
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason,
		Message: cause.Error(), ObservedGeneration: b.Status.ObservedGeneration,
	})
	return status
}
