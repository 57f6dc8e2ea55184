package quota

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/utils/clock"
)

// ListFunc lists the objects of a resource in a namespace. Admission needs none.
type ListFunc func(resource schema.GroupVersionResource, namespace string) ([]runtime.Object, error)

// NewConfiguration returns the evaluators of the built-in resources and the resources that no quota counts. Any other
// resource can be counted by number: count/<resource>.<group>.
func NewConfiguration(list ListFunc, clk clock.PassiveClock) quotav1.Configuration {
	byNamespace := func(group, version, resource string) generic.ListFuncByNamespace {
		return func(namespace string) ([]runtime.Object, error) {
			if list == nil {
				return nil, fmt.Errorf("listing %s for quota: this evaluator only judges single objects", resource)
			}
			return list(schema.GroupVersionResource{Group: group, Version: version, Resource: resource}, namespace)
		}
	}
	evaluators := []quotav1.Evaluator{
		&pods{list: byNamespace("", "v1", "pods"), clock: clk},
		&services{list: byNamespace("", "v1", "services")},
		&claims{list: byNamespace("", "v1", "persistentvolumeclaims")},
		&resourceClaims{list: byNamespace("resource.k8s.io", "v1", "resourceclaims")},
	}
	for resource, alias := range map[string]corev1.ResourceName{
		"configmaps":             corev1.ResourceConfigMaps,
		"resourcequotas":         corev1.ResourceQuotas,
		"replicationcontrollers": corev1.ResourceReplicationControllers,
		"secrets":                corev1.ResourceSecrets,
	} {
		evaluators = append(evaluators, generic.NewObjectCountEvaluator(schema.GroupResource{Resource: resource}, byNamespace("", "v1", resource), alias))
	}
	return generic.NewConfiguration(evaluators, Ignored())
}

// Ignored are resources that are not kept or come in numbers that nobody plans.
func Ignored() map[schema.GroupResource]struct{} {
	return map[schema.GroupResource]struct{}{
		{Resource: "bindings"}:                                                 {},
		{Resource: "componentstatuses"}:                                        {},
		{Resource: "events"}:                                                   {},
		{Group: "events.k8s.io", Resource: "events"}:                           {},
		{Group: "authentication.k8s.io", Resource: "tokenreviews"}:             {},
		{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"}:       {},
		{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}:      {},
		{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}: {},
		{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"}:  {},
		{Group: "authorization.k8s.io", Resource: "selfsubjectrulesreviews"}:   {},
		{Group: "apiregistration.k8s.io", Resource: "apiservices"}:             {},
		{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}: {},
		{Group: "metrics.k8s.io", Resource: "pods"}:                            {},
		{Group: "internal.apiserver.k8s.io", Resource: "storageversions"}:      {},
	}
}

// fault says that an evaluator was given an object of another resource.
func fault(got runtime.Object, want string) error {
	return fmt.Errorf("quota evaluator of %s got %T", want, got)
}
