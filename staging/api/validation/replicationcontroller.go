package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func replicationControllerCreate(r *corev1.ReplicationController) *faults {
	f := metadata(&r.ObjectMeta, namespaced, subdomainName)
	replicationControllerSpec(f, &r.Spec, &tolerated{})
	return f
}

func replicationControllerUpdate(r, old *corev1.ReplicationController) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	tol := &tolerated{update: true}
	if old.Spec.Template != nil {
		tol = toleratedOf(&old.Spec.Template.Spec)
	}
	replicationControllerSpec(f, &r.Spec, tol)
	return f
}

func replicationControllerSpec(f *faults, s *corev1.ReplicationControllerSpec, tol *tolerated) {
	p := field.NewPath("spec")
	f.notNegative(p, "minReadySeconds", int64(s.MinReadySeconds))
	if len(s.Selector) == 0 {
		f.required(p, "selector", "")
	}
	if s.Replicas == nil {
		f.required(p, "replicas", "")
	}
	f.notNegativePtr(p, "replicas", s.Replicas)
	t := p.Child("template")
	if s.Template == nil {
		f.required(t, "", "")
		return
	}
	if len(s.Selector) > 0 && !labels.SelectorFromSet(s.Selector).Matches(labels.Set(s.Template.Labels)) {
		f.invalid(t.Child("metadata"), "labels", s.Template.Labels, noMatch)
	}
	podTemplateSpec(f, s.Template, tol, t)
	sharedDisks(f, s.Template, valueOr(s.Replicas, 0), t)
	longRunning(f, &s.Template.Spec, "ReplicaSet", t.Child("spec"))
}

func replicationControllerStatus(r, old *corev1.ReplicationController) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	s := &r.Status
	replicaCounts(f, s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas, s.ObservedGeneration)
	return f
}

// replicaCounts checks the status that replication controllers and replica sets share.
func replicaCounts(f *faults, replicas, labeled, ready, available int32, generation int64) {
	p := field.NewPath("status")
	counts(f, p, count{"replicas", int64(replicas)}, count{"fullyLabeledReplicas", int64(labeled)}, count{"readyReplicas", int64(ready)},
		count{"availableReplicas", int64(available)}, count{"observedGeneration", generation})
	noMore(f, p, int64(replicas), "cannot be greater than status.replicas", count{"fullyLabeledReplicas", int64(labeled)},
		count{"readyReplicas", int64(ready)}, count{"availableReplicas", int64(available)})
	noMore(f, p, int64(ready), "cannot be greater than readyReplicas", count{"availableReplicas", int64(available)})
}
