package kind

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/component-base/featuregate"
)

// Object is what a Kind stores: a pointer to a type of k8s.io/api.
type Object interface {
	runtime.Object
	metav1.Object
}

// Kind declares one resource. The zero value of a field means "nothing particular".
type Kind[T Object] struct {
	Group    string   // "" is the core group
	Versions []string // served versions besides which there is only "v1" when empty
	Resource string   // plural, as in URLs
	Singular string
	New      func() T
	NewList  func() runtime.Object

	// Gate is the feature without which the kind is not served.
	Gate featuregate.Feature

	ClusterScoped bool
	ShortNames    []string
	Categories    []string

	// Spec is what the user wants and Status what was observed. With a Status the resource has a status subresource:
	// the main resource cannot change Status, the subresource cannot change Spec.
	Spec, Status Part[T]
	// NoStatusSubresource: Status is kept from clients but has no subresource of its own.
	NoStatusSubresource bool
	// Generation counts changes of Spec in metadata.generation, beginning with 1.
	Generation bool
	// StatusKeepsMeta: a status update cannot change labels, annotations, finalizers and owners.
	StatusKeepsMeta bool
	// StatusResets names the fields of metadata that PrepareStatus takes back from a status update.
	StatusResets []string

	// PrepareCreate, PrepareUpdate and PrepareStatus change an object before it is validated, after Spec, Status and
	// generation were dealt with.
	PrepareCreate func(ctx context.Context, obj T)
	PrepareUpdate func(ctx context.Context, obj, old T)
	PrepareStatus func(ctx context.Context, obj, old T)
	// ValidateCreate, ValidateUpdate and ValidateStatus find faults that need the request; faults of the object alone
	// are found by the validation library.
	ValidateCreate func(ctx context.Context, obj T) field.ErrorList
	ValidateUpdate func(ctx context.Context, obj, old T) field.ErrorList
	ValidateStatus func(ctx context.Context, obj, old T) field.ErrorList
	// Warnings tells the client of accepted but doubtful content. old is nil on create.
	Warnings func(ctx context.Context, obj, old T) []string

	// CreateOnUpdate lets PUT create the object.
	CreateOnUpdate bool
	// ConditionalUpdate refuses a PUT without resourceVersion.
	ConditionalUpdate bool

	// Graceful decides whether a deletion is first announced by metadata.deletionTimestamp; it sets the grace period.
	Graceful func(ctx context.Context, obj T, options *metav1.DeleteOptions) bool
	// Dependents is what happens to owned objects when the client does not say; default is to delete them.
	Dependents rest.GarbageCollectionPolicy
	// ReturnDeleted answers a deletion with the object instead of a Status.
	ReturnDeleted bool

	// Columns are what kubectl get prints.
	Columns []Column[T]
	// RowConditions mark a row of the table, such as a completed pod.
	RowConditions func(obj T) []metav1.TableRowCondition
	// Select adds the selectable fields besides name and namespace.
	Select func(obj T, set fields.Set)
	// Index names selectable fields by which watchers are indexed; there is one value an object.
	Index map[string]func(obj T) string

	// Configure completes the generic store, e.g. with transactions.
	Configure func(store *genericregistry.Store, env *Env) error
	// Wrap replaces what is served as the resource itself.
	Wrap func(store *Store, env *Env) rest.Storage
	// Subresources are served under the resource, besides status. They are made when all stores exist.
	Subresources func(store *Store, env *Env) (map[string]rest.Storage, error)
}

// Declaration is a Kind of any type.
type Declaration interface {
	GroupResource() schema.GroupResource
	// ServedVersions are the versions under which the resource is served.
	ServedVersions() []string
	// RequiredGate is the feature without which the resource is not served, or "".
	RequiredGate() featuregate.Feature
	// Sample shows the declaration without a server.
	Sample() Sample
	// Open makes the resource's store.
	Open(env *Env) (*Store, error)
	// Serve returns what is served: the resource under its plural name and its subresources under theirs.
	Serve(store *Store, env *Env) (map[string]rest.Storage, error)
}

// GroupResource implements Declaration.
func (k *Kind[T]) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Resource}
}

// ServedVersions implements Declaration.
func (k *Kind[T]) ServedVersions() []string {
	if len(k.Versions) == 0 {
		return []string{"v1"}
	}
	return k.Versions
}

// RequiredGate implements Declaration.
func (k *Kind[T]) RequiredGate() featuregate.Feature { return k.Gate }

// Sample is what can be told of a declaration without a server.
type Sample struct {
	Object, List runtime.Object
	Singular     string
	ShortNames   []string
	Columns      int
}

// Sample implements Declaration.
func (k *Kind[T]) Sample() Sample {
	return Sample{Object: k.New(), List: k.NewList(), Singular: k.Singular, ShortNames: k.ShortNames, Columns: len(k.Columns)}
}
