package defaulting

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// value sets a field of a plain type that is at its zero value.
func value[T comparable](field *T, to T) {
	var zero T
	if *field == zero {
		*field = to
	}
}

// pointer sets an absent optional field.
func pointer[T any](field **T, to T) {
	if *field == nil {
		*field = &to
	}
}

// quantities rounds amounts up to the finest unit that is accounted for, a thousandth.
func quantities(list corev1.ResourceList) {
	for name, q := range list {
		if !q.RoundUp(resource.Milli) {
			list[name] = q
		}
	}
}

// complete copies to list what from has and list lacks, and returns list.
func complete(list, from corev1.ResourceList) corev1.ResourceList {
	for name, q := range from {
		if _, ok := list[name]; !ok {
			if list == nil {
				list = make(corev1.ResourceList, len(from))
			}
			list[name] = q.DeepCopy()
		}
	}
	return list
}
