package ownership

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"pilotis.dev/pkg/reconcile"
)

// Keys are those of the owners that a change of o concerns: of the object of this kind that controls o or, when nothing
// controls it, of all that select it and could adopt it. list gives the owners of o's namespace.
func Keys[T metav1.Object](o metav1.Object, apiVersion, kind string, list func(labels.Selector) ([]T, error), selectorOf func(T) *metav1.LabelSelector) []reconcile.Key {
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		if ref.Kind != kind || ref.APIVersion != apiVersion {
			return nil
		}
		return []reconcile.Key{{Namespace: o.GetNamespace(), Name: ref.Name}}
	}
	owners, err := list(labels.Everything())
	if err != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, owner := range owners {
		if selector, err := metav1.LabelSelectorAsSelector(selectorOf(owner)); err == nil && !selector.Empty() && selector.Matches(labels.Set(o.GetLabels())) {
			keys = append(keys, reconcile.KeyOf(owner))
		}
	}
	return keys
}
