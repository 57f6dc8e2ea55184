package defaulting

import (
	corev1 "k8s.io/api/core/v1"
)

// LimitRange derives the defaults of containers: the limit from the maximum, the request from the limit, then from the
// minimum.
func LimitRange(r *corev1.LimitRange) {
	for i := range r.Spec.Limits {
		item := &r.Spec.Limits[i]
		for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio} {
			quantities(list)
		}
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		item.Default = complete(item.Default, item.Max)
		item.DefaultRequest = complete(item.DefaultRequest, item.Default)
		item.DefaultRequest = complete(item.DefaultRequest, item.Min)
	}
}
