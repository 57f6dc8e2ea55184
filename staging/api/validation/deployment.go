package validation

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// loose tells whether an old object selects by values that no label can have.
func loose(s *metav1.LabelSelector) bool {
	return metav1validation.LabelSelectorHasInvalidLabelValue(s)
}

func deploymentCreate(d *appsv1.Deployment) *faults {
	f := metadata(&d.ObjectMeta, namespaced, subdomainName)
	deploymentSpec(f, &d.Spec, &tolerated{}, true)
	return f
}

func deploymentUpdate(d, old *appsv1.Deployment) *faults {
	f := metadataUpdate(&d.ObjectMeta, &old.ObjectMeta)
	deploymentSpec(f, &d.Spec, toleratedOf(&old.Spec.Template.Spec), !loose(old.Spec.Selector))
	f.immutable(field.NewPath("spec"), "selector", d.Spec.Selector, old.Spec.Selector)
	return f
}

func deploymentSpec(f *faults, s *appsv1.DeploymentSpec, tol *tolerated, strict bool) {
	p := field.NewPath("spec")
	f.notNegativePtr(p, "replicas", s.Replicas)
	workloadSelector(f, s.Selector, &s.Template, strict, "empty selector is invalid for deployment", p)
	t := p.Child("template")
	podTemplateSpec(f, &s.Template, tol, t)
	sharedDisks(f, &s.Template, valueOr(s.Replicas, 0), t)
	longRunning(f, &s.Template.Spec, "ReplicaSet", t.Child("spec"))
	deploymentStrategy(f, &s.Strategy, p.Child("strategy"))
	f.notNegative(p, "minReadySeconds", int64(s.MinReadySeconds))
	f.notNegativePtr(p, "revisionHistoryLimit", s.RevisionHistoryLimit)
	if d := s.ProgressDeadlineSeconds; d != nil {
		f.notNegative(p, "progressDeadlineSeconds", int64(*d))
		if *d <= s.MinReadySeconds {
			f.invalid(p, "progressDeadlineSeconds", *d, "must be greater than minReadySeconds")
		}
	}
}

func deploymentStrategy(f *faults, s *appsv1.DeploymentStrategy, p *field.Path) {
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			f.forbidden(p, "rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
		}
	case appsv1.RollingUpdateDeploymentStrategyType:
		if s.RollingUpdate == nil {
			f.required(p, "rollingUpdate", "this should be defaulted and never be nil")
			return
		}
		at := p.Child("rollingUpdate")
		intOrPercent(f, s.RollingUpdate.MaxUnavailable, at, "maxUnavailable")
		intOrPercent(f, s.RollingUpdate.MaxSurge, at, "maxSurge")
		if isZero(s.RollingUpdate.MaxUnavailable) && isZero(s.RollingUpdate.MaxSurge) {
			f.invalid(at, "maxUnavailable", s.RollingUpdate.MaxUnavailable, "may not be 0 when `maxSurge` is 0")
		}
		atMostAll(f, s.RollingUpdate.MaxUnavailable, at, "maxUnavailable")
	default:
		oneOf(f, p, "type", s.Type, appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType)
	}
}

func deploymentStatus(d, old *appsv1.Deployment) *faults {
	f := metadataUpdate(&d.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	s := &d.Status
	updated, ready, available := count{"updatedReplicas", int64(s.UpdatedReplicas)}, count{"readyReplicas", int64(s.ReadyReplicas)}, count{"availableReplicas", int64(s.AvailableReplicas)}
	counts(f, p, count{"observedGeneration", s.ObservedGeneration}, count{"replicas", int64(s.Replicas)}, updated, ready, available,
		count{"unavailableReplicas", int64(s.UnavailableReplicas)})
	f.notNegativePtr(p, "terminatingReplicas", s.TerminatingReplicas)
	noMore(f, p, int64(s.Replicas), "cannot be greater than status.replicas", updated, ready, available)
	noMore(f, p, int64(s.ReadyReplicas), "cannot be greater than readyReplicas", available)
	collisions(f, s.CollisionCount, old.Status.CollisionCount, p)
	return f
}
