package validation

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func replicaSetCreate(r *appsv1.ReplicaSet) *faults {
	f := metadata(&r.ObjectMeta, namespaced, subdomainName)
	replicaSetSpec(f, &r.Spec, &tolerated{}, true)
	return f
}

func replicaSetUpdate(r, old *appsv1.ReplicaSet) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	replicaSetSpec(f, &r.Spec, toleratedOf(&old.Spec.Template.Spec), !loose(old.Spec.Selector))
	f.immutable(field.NewPath("spec"), "selector", r.Spec.Selector, old.Spec.Selector)
	return f
}

func replicaSetSpec(f *faults, s *appsv1.ReplicaSetSpec, tol *tolerated, strict bool) {
	p := field.NewPath("spec")
	f.notNegativePtr(p, "replicas", s.Replicas)
	f.notNegative(p, "minReadySeconds", int64(s.MinReadySeconds))
	workloadSelector(f, s.Selector, &s.Template, strict, "empty selector is invalid for deployment", p)
	t := p.Child("template")
	podTemplateSpec(f, &s.Template, tol, t)
	sharedDisks(f, &s.Template, valueOr(s.Replicas, 0), t)
	longRunning(f, &s.Template.Spec, "ReplicaSet", t.Child("spec"))
}

func replicaSetStatus(r, old *appsv1.ReplicaSet) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	s := &r.Status
	replicaCounts(f, s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas, s.ObservedGeneration)
	f.notNegativePtr(field.NewPath("status"), "terminatingReplicas", s.TerminatingReplicas)
	return f
}
