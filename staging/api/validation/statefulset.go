package validation

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// statefulSetCreate: the name becomes the host name of pods, so it is a label.
func statefulSetCreate(t *appsv1.StatefulSet) *faults {
	f := metadata(&t.ObjectMeta, namespaced, labelName)
	statefulSetSpec(f, &t.Spec, &tolerated{}, true)
	return f
}

func statefulSetUpdate(t, old *appsv1.StatefulSet) *faults {
	f := metadataUpdate(&t.ObjectMeta, &old.ObjectMeta)
	statefulSetSpec(f, &t.Spec, toleratedOf(&old.Spec.Template.Spec), !loose(old.Spec.Selector))
	rest := t.Spec
	rest.Replicas = old.Spec.Replicas
	rest.Ordinals = old.Spec.Ordinals
	rest.Template = old.Spec.Template
	rest.UpdateStrategy = old.Spec.UpdateStrategy
	rest.MinReadySeconds = old.Spec.MinReadySeconds
	rest.PersistentVolumeClaimRetentionPolicy = old.Spec.PersistentVolumeClaimRetentionPolicy
	rest.RevisionHistoryLimit = old.Spec.RevisionHistoryLimit
	if !same(&rest, &old.Spec) {
		f.forbidden(nil, "spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")
	}
	return f
}

func statefulSetSpec(f *faults, s *appsv1.StatefulSetSpec, tol *tolerated, strict bool) {
	p := field.NewPath("spec")
	switch s.PodManagementPolicy {
	case "":
		f.required(p, "podManagementPolicy", "")
	case appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement:
	default:
		f.invalid(p, "podManagementPolicy", s.PodManagementPolicy, "must be 'OrderedReady' or 'Parallel'")
	}
	statefulSetStrategy(f, s, p)
	if r := s.PersistentVolumeClaimRetentionPolicy; r != nil {
		at := p.Child("persistentVolumeClaimRetentionPolicy")
		oneOf(f, at, "whenDeleted", r.WhenDeleted, appsv1.DeletePersistentVolumeClaimRetentionPolicyType, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
		oneOf(f, at, "whenScaled", r.WhenScaled, appsv1.DeletePersistentVolumeClaimRetentionPolicyType, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	}
	f.notNegativePtr(p, "replicas", s.Replicas)
	f.notNegative(p, "minReadySeconds", int64(s.MinReadySeconds))
	f.notNegativePtr(p, "revisionHistoryLimit", s.RevisionHistoryLimit)
	if s.Ordinals != nil {
		f.notNegative(p, "ordinals.start", int64(s.Ordinals.Start))
	}
	workloadSelector(f, s.Selector, &s.Template, strict, "empty selector is invalid for statefulset", p)
	t := p.Child("template")
	podTemplateSpec(f, withClaims(s), tol, t)
	longRunning(f, &s.Template.Spec, "StatefulSet", t.Child("spec"))
	if s.ServiceName != "" && !tol.update {
		f.dnsSubdomain(p, "serviceName", s.ServiceName)
	}
}

// withClaims is the template with a volume for each claim template, which its containers may mount.
func withClaims(s *appsv1.StatefulSetSpec) *corev1.PodTemplateSpec {
	if len(s.VolumeClaimTemplates) == 0 {
		return &s.Template
	}
	t := s.Template
	t.Spec.Volumes = slices.Clone(t.Spec.Volumes)
	for i := range s.VolumeClaimTemplates {
		name := s.VolumeClaimTemplates[i].Name
		if slices.ContainsFunc(t.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }) {
			continue // pods get the claim in its place
		}
		t.Spec.Volumes = append(t.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}})
	}
	return &t
}

func statefulSetStrategy(f *faults, s *appsv1.StatefulSetSpec, p *field.Path) {
	u := s.UpdateStrategy.RollingUpdate
	at := p.Child("updateStrategy").Child("rollingUpdate")
	switch s.UpdateStrategy.Type {
	case "":
		f.required(p, "updateStrategy", "")
	case appsv1.OnDeleteStatefulSetStrategyType:
		if u != nil {
			f.invalid(at, "", u, "only allowed for updateStrategy 'RollingUpdate'")
		}
	case appsv1.RollingUpdateStatefulSetStrategyType:
		if u == nil {
			return
		}
		f.notNegativePtr(at, "partition", u.Partition)
		if u.MaxUnavailable != nil {
			intOrPercent(f, u.MaxUnavailable, at, "maxUnavailable")
			if isZero(u.MaxUnavailable) {
				f.invalid(at, "maxUnavailable", *u.MaxUnavailable, "cannot be 0")
			}
			atMostAll(f, u.MaxUnavailable, at, "maxUnavailable")
		}
	default:
		f.invalid(p, "updateStrategy", s.UpdateStrategy, "must be 'RollingUpdate' or 'OnDelete'")
	}
}

func statefulSetStatus(t, old *appsv1.StatefulSet) *faults {
	f := metadataUpdate(&t.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	s := &t.Status
	ready, current := count{"readyReplicas", int64(s.ReadyReplicas)}, count{"currentReplicas", int64(s.CurrentReplicas)}
	updated, available := count{"updatedReplicas", int64(s.UpdatedReplicas)}, count{"availableReplicas", int64(s.AvailableReplicas)}
	counts(f, p, count{"replicas", int64(s.Replicas)}, ready, current, updated, available, count{"observedGeneration", s.ObservedGeneration})
	noMore(f, p, int64(s.Replicas), "cannot be greater than status.replicas", ready, current, updated, available)
	noMore(f, p, int64(s.ReadyReplicas), "cannot be greater than status.readyReplicas", available)
	collisions(f, s.CollisionCount, old.Status.CollisionCount, p)
	return f
}
