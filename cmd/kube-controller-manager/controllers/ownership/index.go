package ownership

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

const (
	byController = "ownership/controller"
	orphans      = "ownership/orphans"
)

// View reads the dependents of owners from an informer's cache, without scanning a namespace.
type View[T metav1.Object] struct{ indexer cache.Indexer }

// NewView adds the indexes to inf, once for all controllers that share it. It has to be called before inf starts.
func NewView[T metav1.Object](inf cache.SharedIndexInformer) (View[T], error) {
	if _, there := inf.GetIndexer().GetIndexers()[byController]; !there {
		err := inf.AddIndexers(cache.Indexers{
			byController: func(obj any) ([]string, error) {
				if o, err := meta.Accessor(obj); err == nil {
					if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
						return []string{string(ref.UID)}, nil
					}
				}
				return nil, nil
			},
			orphans: func(obj any) ([]string, error) {
				if o, err := meta.Accessor(obj); err == nil && metav1.GetControllerOfNoCopy(o) == nil {
					return []string{o.GetNamespace()}, nil
				}
				return nil, nil
			},
		})
		if err != nil {
			return View[T]{}, err
		}
	}
	return View[T]{inf.GetIndexer()}, nil
}

// Of returns the objects whose controller has this UID, ordered by name.
func (v View[T]) Of(controller types.UID) []T { return v.get(byController, string(controller)) }

// Orphans returns the objects of a namespace that have no controller, ordered by name.
func (v View[T]) Orphans(namespace string) []T { return v.get(orphans, namespace) }

// Candidates returns what Plan has to look at for owner: its objects, and the orphans beside it.
func (v View[T]) Candidates(owner metav1.Object) []T {
	return append(v.Of(owner.GetUID()), v.Orphans(owner.GetNamespace())...)
}

func (v View[T]) get(index, value string) []T {
	found, err := v.indexer.ByIndex(index, value)
	if err != nil { // only for an unknown index
		return nil
	}
	objs := make([]T, 0, len(found))
	for _, o := range found {
		if typed, ok := o.(T); ok {
			objs = append(objs, typed)
		}
	}
	SortByName(objs)
	return objs
}
