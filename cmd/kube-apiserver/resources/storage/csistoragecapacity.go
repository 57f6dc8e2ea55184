package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// CSIStorageCapacities declares csistoragecapacities.
func CSIStorageCapacities() *kind.Kind[*storagev1.CSIStorageCapacity] {
	type T = *storagev1.CSIStorageCapacity
	return &kind.Kind[T]{
		Group: "storage.k8s.io", Resource: "csistoragecapacities", Singular: "csistoragecapacity",
		New:           func() T { return &storagev1.CSIStorageCapacity{} },
		NewList:       func() runtime.Object { return &storagev1.CSIStorageCapacityList{} },
		ReturnDeleted: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("StorageClassName", func(c T) string { return c.StorageClassName }),
			kind.Text("Capacity", func(c T) string {
				if c.Capacity == nil {
					return "<unset>"
				}
				return c.Capacity.String()
			}),
		},
	}
}
