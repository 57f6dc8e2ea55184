package admission

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
)

// is reports whether a request is for a resource itself, not for a subresource of it.
func is(a admission.Attributes, group, resource string) bool {
	return a.GetSubresource() == "" && a.GetResource().GroupResource() == schema.GroupResource{Group: group, Resource: resource}
}

// isSub reports whether a request is for a subresource.
func isSub(a admission.Attributes, group, resource, subresource string) bool {
	return a.GetSubresource() == subresource && a.GetResource().GroupResource() == schema.GroupResource{Group: group, Resource: resource}
}

// object returns the object of a request as the type that its resource has; another type is this server's own fault.
func object[T any](a admission.Attributes) (T, error) {
	obj, ok := a.GetObject().(T)
	if !ok {
		return obj, apierrors.NewInternalError(wrongType(a.GetObject(), obj))
	}
	return obj, nil
}

// oldObject is as object, for what is stored.
func oldObject[T any](a admission.Attributes) (T, error) {
	obj, ok := a.GetOldObject().(T)
	if !ok {
		return obj, apierrors.NewInternalError(wrongType(a.GetOldObject(), obj))
	}
	return obj, nil
}

// eachContainer calls f with each kind of container of a pod.
func eachContainer(spec *corev1.PodSpec, f func(path string, i int, c *corev1.Container)) {
	for i := range spec.InitContainers {
		f("initContainers", i, &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		f("containers", i, &spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		f("ephemeralContainers", i, (*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
}
