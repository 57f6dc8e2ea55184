package server

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"pilotis.dev/api/defaulting"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// rules are the validation library, and what flags forbid on top.
func rules(allowPrivileged bool) kind.Rules {
	policy := func(runtime.Object) field.ErrorList { return nil }
	if !allowPrivileged {
		policy = privilegedFaults
	}
	return kind.Rules{
		Create:       func(obj runtime.Object) field.ErrorList { return policy(obj) },
		Update:       func(obj, _ runtime.Object) field.ErrorList { return policy(obj) },
		StatusUpdate: func(_, _ runtime.Object) field.ErrorList { return nil },
		Subresource: func(name string, obj, _ runtime.Object) field.ErrorList {
			if name == "ephemeralcontainers" {
				return policy(obj)
			}
			return nil
		},
	}
}

// registerDefaults fills what clients leave out.
func registerDefaults(s *runtime.Scheme) error { return defaulting.Register(s) }
