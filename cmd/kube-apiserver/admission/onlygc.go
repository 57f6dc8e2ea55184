package admission

import (
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// onlyGarbageCollection reports whether an update changes owners and finalizers only, as the end of an object does.
func onlyGarbageCollection[T interface {
	runtime.Object
	metav1.Object
}](obj, old T) bool {
	c, ok := obj.DeepCopyObject().(T)
	if !ok {
		return false
	}
	c.SetOwnerReferences(old.GetOwnerReferences())
	c.SetFinalizers(old.GetFinalizers())
	c.SetManagedFields(old.GetManagedFields())
	c.SetResourceVersion(old.GetResourceVersion())
	return equality.Semantic.DeepEqual(c, old)
}
