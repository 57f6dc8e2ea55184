package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// CSINodes declares csinodes.
func CSINodes() *kind.Kind[*storagev1.CSINode] {
	type T = *storagev1.CSINode
	return &kind.Kind[T]{
		Group: "storage.k8s.io", Resource: "csinodes", Singular: "csinode", ClusterScoped: true,
		New:               func() T { return &storagev1.CSINode{} },
		NewList:           func() runtime.Object { return &storagev1.CSINodeList{} },
		ConditionalUpdate: true,
		ReturnDeleted:     true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Drivers", func(n T) int { return len(n.Spec.Drivers) }),
			kind.Age[T](),
		},
	}
}
