package resource

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// DeviceClasses declares deviceclasses.
func DeviceClasses() *kind.Kind[*resourcev1.DeviceClass] {
	type T = *resourcev1.DeviceClass
	return &kind.Kind[T]{
		Group: "resource.k8s.io", Versions: []string{"v1", "v1beta2", "v1beta1"}, Resource: "deviceclasses", Singular: "deviceclass", ClusterScoped: true,
		New:        func() T { return &resourcev1.DeviceClass{} },
		NewList:    func() runtime.Object { return &resourcev1.DeviceClassList{} },
		Spec:       kind.Field(func(c T) *resourcev1.DeviceClassSpec { return &c.Spec }),
		Generation: true,
		Columns:    []kind.Column[T]{kind.Name[T](), kind.Age[T]()},
	}
}
