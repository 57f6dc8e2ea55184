package node

import (
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// RuntimeClasses declares runtimeclasses.
func RuntimeClasses() *kind.Kind[*nodev1.RuntimeClass] {
	type T = *nodev1.RuntimeClass
	return &kind.Kind[T]{
		Group: "node.k8s.io", Resource: "runtimeclasses", Singular: "runtimeclass", ClusterScoped: true,
		New:               func() T { return &nodev1.RuntimeClass{} },
		NewList:           func() runtime.Object { return &nodev1.RuntimeClassList{} },
		ConditionalUpdate: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Handler", func(c T) string { return c.Handler }),
			kind.Age[T](),
		},
	}
}
