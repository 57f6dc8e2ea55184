package kind

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"

	"pilotis.dev/pkg/api"
)

// Rules find the faults of objects: the validation library.
type Rules struct {
	Create       func(obj runtime.Object) field.ErrorList
	Update       func(obj, old runtime.Object) field.ErrorList
	StatusUpdate func(obj, old runtime.Object) field.ErrorList
	Subresource  func(name string, obj, old runtime.Object) field.ErrorList
}

// Env is what the declarations build upon.
type Env struct {
	Types   *api.Types
	Options generic.RESTOptionsGetter
	Rules   Rules

	// EventTTL is how long an event is kept.
	EventTTL time.Duration

	stores map[schema.GroupResource]*Store
}

// Add makes a store known to Store.
func (e *Env) Add(gr schema.GroupResource, s *Store) {
	if e.stores == nil {
		e.stores = map[schema.GroupResource]*Store{}
	}
	e.stores[gr] = s
}

// Store returns the store of a resource; subresources may ask for any, because all stores are opened first.
func (e *Env) Store(group, resource string) (*Store, error) {
	gr := schema.GroupResource{Group: group, Resource: resource}
	s, ok := e.stores[gr]
	if !ok {
		return nil, fmt.Errorf("no store of %s is open", gr)
	}
	return s, nil
}
