package server

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"pilotis.dev/api/defaulting"
	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// rules are the validation library.
func rules() kind.Rules {
	return kind.Rules{
		Create:       func(runtime.Object) field.ErrorList { return nil },
		Update:       func(_, _ runtime.Object) field.ErrorList { return nil },
		StatusUpdate: func(_, _ runtime.Object) field.ErrorList { return nil },
		Subresource:  func(string, runtime.Object, runtime.Object) field.ErrorList { return nil },
	}
}

// registerDefaults fills what clients leave out.
func registerDefaults(s *runtime.Scheme) error { return defaulting.Register(s) }
