package defaulting

import resourcev1alpha3 "k8s.io/api/resource/v1alpha3"

// ResourcePoolStatusRequest fills a question about pools of devices.
func ResourcePoolStatusRequest(r *resourcev1alpha3.ResourcePoolStatusRequest) {
	pointer(&r.Spec.Limit, resourcev1alpha3.ResourcePoolStatusRequestLimitDefault)
}
