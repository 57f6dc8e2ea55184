package validation

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func daemonSetCreate(d *appsv1.DaemonSet) *faults {
	f := metadata(&d.ObjectMeta, namespaced, subdomainName)
	daemonSetSpec(f, &d.Spec, &tolerated{}, true)
	return f
}

func daemonSetUpdate(d, old *appsv1.DaemonSet) *faults {
	f := metadataUpdate(&d.ObjectMeta, &old.ObjectMeta)
	daemonSetSpec(f, &d.Spec, toleratedOf(&old.Spec.Template.Spec), !loose(old.Spec.Selector))
	f.immutable(field.NewPath("spec"), "selector", d.Spec.Selector, old.Spec.Selector)
	return f
}

func daemonSetSpec(f *faults, s *appsv1.DaemonSetSpec, tol *tolerated, strict bool) {
	p := field.NewPath("spec")
	workloadSelector(f, s.Selector, &s.Template, strict, "empty selector is invalid for daemonset", p)
	t := p.Child("template")
	podTemplateSpec(f, &s.Template, tol, t)
	longRunning(f, &s.Template.Spec, "DaemonSet", t.Child("spec"))
	f.notNegative(p, "minReadySeconds", int64(s.MinReadySeconds))
	daemonSetStrategy(f, &s.UpdateStrategy, p.Child("updateStrategy"))
	f.notNegativePtr(p, "revisionHistoryLimit", s.RevisionHistoryLimit)
}

func daemonSetStrategy(f *faults, s *appsv1.DaemonSetUpdateStrategy, p *field.Path) {
	switch s.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
	case appsv1.RollingUpdateDaemonSetStrategyType:
		if s.RollingUpdate == nil {
			f.required(p, "rollingUpdate", "")
			return
		}
		at := p.Child("rollingUpdate")
		u := s.RollingUpdate
		intOrPercent(f, u.MaxUnavailable, at, "maxUnavailable")
		intOrPercent(f, u.MaxSurge, at, "maxSurge")
		switch {
		case !isZero(u.MaxUnavailable) && !isZero(u.MaxSurge):
			f.invalid(at, "maxSurge", u.MaxSurge, "may not be set when maxUnavailable is non-zero")
		case isZero(u.MaxUnavailable) && isZero(u.MaxSurge):
			f.required(at, "maxUnavailable", "cannot be 0 when maxSurge is 0")
		}
		atMostAll(f, u.MaxUnavailable, at, "maxUnavailable")
		atMostAll(f, u.MaxSurge, at, "maxSurge")
	default:
		oneOf(f, p, "type", s.Type, appsv1.OnDeleteDaemonSetStrategyType, appsv1.RollingUpdateDaemonSetStrategyType)
	}
}

func daemonSetStatus(d, old *appsv1.DaemonSet) *faults {
	f := metadataUpdate(&d.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	s := &d.Status
	counts(f, p, count{"currentNumberScheduled", int64(s.CurrentNumberScheduled)}, count{"numberMisscheduled", int64(s.NumberMisscheduled)},
		count{"desiredNumberScheduled", int64(s.DesiredNumberScheduled)}, count{"numberReady", int64(s.NumberReady)},
		count{"observedGeneration", s.ObservedGeneration}, count{"updatedNumberScheduled", int64(s.UpdatedNumberScheduled)},
		count{"numberAvailable", int64(s.NumberAvailable)}, count{"numberUnavailable", int64(s.NumberUnavailable)})
	collisions(f, s.CollisionCount, old.Status.CollisionCount, p)
	return f
}
