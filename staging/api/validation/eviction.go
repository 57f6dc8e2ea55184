package validation

import (
	lifecyclev1alpha1 "k8s.io/api/lifecycle/v1alpha1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	declared "pilotis.dev/api/validation/zz_generated/lifecycle"
)

func evictionRequestCreate(r *lifecyclev1alpha1.EvictionRequest) *faults {
	f := metadata(&r.ObjectMeta, namespaced, subdomainName)
	return declares(f, "spec", declared.Validate_EvictionRequestSpec, &r.Spec, nil)
}

func evictionRequestUpdate(r, old *lifecyclev1alpha1.EvictionRequest) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	return declares(f, "spec", declared.Validate_EvictionRequestSpec, &r.Spec, &old.Spec)
}

func evictionRequestStatus(r, old *lifecyclev1alpha1.EvictionRequest) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	return declares(f, "status", declared.Validate_EvictionRequestStatus, &r.Status, &old.Status)
}

func evictionCreate(e *lifecyclev1alpha1.Eviction) *faults {
	f := metadata(&e.ObjectMeta, namespaced, subdomainName)
	return declares(f, "spec", declared.Validate_EvictionSpec, &e.Spec, nil)
}

func evictionUpdate(e, old *lifecyclev1alpha1.Eviction) *faults {
	f := metadataUpdate(&e.ObjectMeta, &old.ObjectMeta)
	return declares(f, "spec", declared.Validate_EvictionSpec, &e.Spec, &old.Spec)
}

// evictionStatus: once there are responders, they remain the same, one of them at most is at work, and only what is said
// of that one changes.
func evictionStatus(e, old *lifecyclev1alpha1.Eviction) *faults {
	f := metadataUpdate(&e.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	declares(f, "status", declared.Validate_EvictionStatus, &e.Status, &old.Status)
	var names, before, said []string
	active := map[string]bool{}
	for _, r := range e.Status.TargetResponders {
		names = append(names, r.Name)
		if r.State == lifecyclev1alpha1.ResponderStateActive {
			active[r.Name] = true
		}
	}
	for _, r := range old.Status.TargetResponders {
		before = append(before, r.Name)
	}
	if len(active) > 1 {
		f.invalid(p, "targetResponders", len(active), "at most one responder may be Active")
	}
	if len(before) > 0 {
		f.immutable(p, "targetResponders", names, before)
	}
	earlier := map[string]lifecyclev1alpha1.ResponderStatus{}
	for _, r := range old.Status.Responders {
		earlier[r.Name] = r
	}
	for i, r := range e.Status.Responders {
		said = append(said, r.Name)
		if was, ok := earlier[r.Name]; ok && !active[r.Name] && !same(r, was) {
			f.forbidden(p.Child("responders").Index(i), "", "only the status of an Active responder may change")
		}
	}
	if len(said) > 0 && !same(said, names) {
		f.invalid(p, "responders", said, "must have the names of `status.targetResponders`")
	}
	return f
}
