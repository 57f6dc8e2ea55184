package resource

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ResourceSlices declares resourceslices. Each kubelet and scheduler watches by node.
func ResourceSlices() *kind.Kind[*resourcev1.ResourceSlice] {
	type T = *resourcev1.ResourceSlice
	node := func(s T) string {
		if s.Spec.NodeName == nil {
			return ""
		}
		return *s.Spec.NodeName
	}
	return &kind.Kind[T]{
		Group: "resource.k8s.io", Versions: []string{"v1", "v1beta2", "v1beta1"}, Resource: "resourceslices", Singular: "resourceslice", ClusterScoped: true,
		New:        func() T { return &resourcev1.ResourceSlice{} },
		NewList:    func() runtime.Object { return &resourcev1.ResourceSliceList{} },
		Spec:       kind.Field(func(s T) *resourcev1.ResourceSliceSpec { return &s.Spec }),
		Generation: true,
		Select:     func(s T, set fields.Set) { set["spec.nodeName"], set["spec.driver"] = node(s), s.Spec.Driver },
		Index:      map[string]func(T) string{"spec.nodeName": node},
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Node", func(s T) string {
				if n := node(s); n != "" {
					return n
				}
				return "<unset>"
			}),
			kind.Text("Driver", func(s T) string { return s.Spec.Driver }),
			kind.Text("Pool", func(s T) string { return s.Spec.Pool.Name }),
			kind.Age[T](),
		},
	}
}
