package server

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-base/featuregate"

	"pilotis.dev/api/defaulting"
	"pilotis.dev/api/validation"
	"pilotis.dev/cmd/kube-apiserver/resources/gated"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// rules are the validation library, and what flags forbid on top.
func rules(allowPrivileged bool, gates featuregate.FeatureGate) kind.Rules {
	policy := func(runtime.Object) field.ErrorList { return nil }
	if !allowPrivileged {
		policy = privilegedFaults
	}
	validator := &validation.Validator{
		Expressions: &lazyExpressions{}, NoScaleToZero: !gates.Enabled(gated.HPAScaleToZero), MutableVolumeAffinity: gates.Enabled(gated.MutablePVNodeAffinity),
	}
	return kind.Rules{
		Create: func(obj runtime.Object) field.ErrorList { return append(validator.Create(obj), policy(obj)...) },
		Update: func(obj, old runtime.Object) field.ErrorList {
			return append(validator.Update(obj, old), policy(obj)...)
		},
		StatusUpdate: validation.StatusUpdate,
		Subresource: func(name string, obj, old runtime.Object) field.ErrorList {
			errs := validator.Subresource(name, obj, old)
			if name == "ephemeralcontainers" {
				errs = append(errs, policy(obj)...)
			}
			return errs
		},
	}
}

// registerDefaults fills what clients leave out.
func registerDefaults(s *runtime.Scheme) error { return defaulting.Register(s) }
