package kind

import (
	"context"
	"fmt"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
)

// Store serves a resource.
type Store struct {
	*genericregistry.Store
	shortNames, categories []string
}

// ShortNames implements rest.ShortNamesProvider.
func (s *Store) ShortNames() []string { return s.shortNames }

// Categories implements rest.CategoriesProvider.
func (s *Store) Categories() []string { return s.categories }

// Open implements Declaration.
func (k *Kind[T]) Open(env *Env) (*Store, error) {
	st := newStrategy(k, env)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return k.New() },
		NewListFunc:               k.NewList,
		DefaultQualifiedResource:  k.GroupResource(),
		SingularQualifiedResource: schema.GroupResource{Group: k.Group, Resource: k.Singular},
		CreateStrategy:            st,
		UpdateStrategy:            st,
		DeleteStrategy:            st,
		ResetFieldsStrategy:       st,
		ReturnDeletedObject:       k.ReturnDeleted,
		TableConvertor:            k.table(),
	}
	if k.Graceful != nil {
		store.DeleteStrategy = gracefulStrategy[T]{st}
	}
	if k.Configure != nil {
		if err := k.Configure(store, env); err != nil {
			return nil, fmt.Errorf("opening the store of %s: %w", k.GroupResource(), err)
		}
	}
	options := &generic.StoreOptions{RESTOptions: env.Options, AttrFunc: k.attributes}
	if len(k.Index) > 0 {
		options.TriggerFunc = map[string]storage.IndexerFunc{}
		indexers := cache.Indexers{}
		for label, value := range k.Index {
			options.TriggerFunc[label] = func(obj runtime.Object) string { return value(obj.(T)) }
			indexers[storage.FieldIndex(label)] = func(obj any) ([]string, error) {
				o, ok := obj.(T)
				if !ok {
					return nil, fmt.Errorf("indexing %s by %s: got %T", k.Resource, label, obj)
				}
				return []string{value(o)}, nil
			}
		}
		options.Indexers = &indexers
	}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, fmt.Errorf("opening the store of %s: %w", k.GroupResource(), err)
	}
	return &Store{Store: store, shortNames: k.ShortNames, categories: k.Categories}, nil
}

// attributes are what selectors match.
func (k *Kind[T]) attributes(o runtime.Object) (labels.Set, fields.Set, error) {
	obj, ok := o.(T)
	if !ok {
		return nil, nil, fmt.Errorf("selecting %s: got %T", k.Resource, o)
	}
	set := make(fields.Set, 4)
	set["metadata.name"] = obj.GetName()
	if !k.ClusterScoped {
		set["metadata.namespace"] = obj.GetNamespace()
	}
	if k.Select != nil {
		k.Select(obj, set)
	}
	return obj.GetLabels(), set, nil
}

// Serve implements Declaration.
func (k *Kind[T]) Serve(store *Store, env *Env) (map[string]rest.Storage, error) {
	served := map[string]rest.Storage{k.Resource: store}
	if k.Wrap != nil {
		served[k.Resource] = k.Wrap(store, env)
	}
	if k.Status != nil && !k.NoStatusSubresource {
		served[k.Resource+"/status"] = k.statusOf(store, env)
	}
	if k.Subresources != nil {
		more, err := k.Subresources(store, env)
		if err != nil {
			return nil, fmt.Errorf("serving subresources of %s: %w", k.GroupResource(), err)
		}
		for name, s := range more {
			served[k.Resource+"/"+name] = s
		}
	}
	return served, nil
}

func (k *Kind[T]) statusOf(store *Store, env *Env) *Updater {
	st := statusStrategy[T]{newStrategy(k, env)}
	return NewUpdater(store, st, fieldpath.NewExcludeFilterSetMap(st.GetResetFields()))
}

// Updater is a subresource that reads and updates the whole object by a strategy of its own, such as status.
type Updater struct {
	store *genericregistry.Store
	owned map[fieldpath.APIVersion]fieldpath.Filter
}

var (
	_ rest.Patcher                   = (*Updater)(nil)
	_ rest.ResetFieldsFilterStrategy = (*Updater)(nil)
)

// NewUpdater returns an Updater on the objects of store. owned leaves of a set of fields those that an applier of the
// subresource can come to own.
func NewUpdater(store *Store, update rest.RESTUpdateStrategy, owned map[fieldpath.APIVersion]fieldpath.Filter) *Updater {
	twin := *store.Store
	twin.UpdateStrategy = update
	twin.BeginUpdate, twin.BeginCreate = nil, nil
	return &Updater{&twin, owned}
}

// New implements rest.Storage.
func (u *Updater) New() runtime.Object { return u.store.New() }

// Destroy implements rest.Storage; the store belongs to the main resource.
func (u *Updater) Destroy() {}

// Get implements rest.Getter.
func (u *Updater) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return u.store.Get(ctx, name, options)
}

// Update implements rest.Updater. A subresource never creates its object.
func (u *Updater) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	obj, created, err := u.store.Update(ctx, name, info, create, update, false, options)
	return obj, created, patchError(err)
}

// GetResetFieldsFilter implements rest.ResetFieldsFilterStrategy.
func (u *Updater) GetResetFieldsFilter() map[fieldpath.APIVersion]fieldpath.Filter { return u.owned }

// ConvertToTable implements rest.TableConvertor.
func (u *Updater) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return u.store.ConvertToTable(ctx, obj, options)
}
