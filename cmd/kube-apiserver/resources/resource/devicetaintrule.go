package resource

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// DeviceTaintRules declares devicetaintrules.
func DeviceTaintRules() *kind.Kind[*resourcev1.DeviceTaintRule] {
	type T = *resourcev1.DeviceTaintRule
	return &kind.Kind[T]{
		Group: "resource.k8s.io", Versions: []string{"v1", "v1beta2", "v1alpha3"}, Resource: "devicetaintrules", Singular: "devicetaintrule", ClusterScoped: true,
		New:        func() T { return &resourcev1.DeviceTaintRule{} },
		NewList:    func() runtime.Object { return &resourcev1.DeviceTaintRuleList{} },
		Spec:       kind.Field(func(r T) *resourcev1.DeviceTaintRuleSpec { return &r.Spec }),
		Status:     kind.Field(func(r T) *resourcev1.DeviceTaintRuleStatus { return &r.Status }),
		Generation: true,
		Columns:    []kind.Column[T]{kind.Name[T](), kind.Age[T]()},
	}
}
