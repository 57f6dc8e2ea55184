package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// VolumeAttributesClasses declares volumeattributesclasses.
func VolumeAttributesClasses() *kind.Kind[*storagev1.VolumeAttributesClass] {
	type T = *storagev1.VolumeAttributesClass
	return &kind.Kind[T]{
		Group: "storage.k8s.io", Resource: "volumeattributesclasses", Singular: "volumeattributesclass", ShortNames: []string{"vac"}, ClusterScoped: true,
		New:           func() T { return &storagev1.VolumeAttributesClass{} },
		NewList:       func() runtime.Object { return &storagev1.VolumeAttributesClassList{} },
		ReturnDeleted: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("DriverName", func(c T) string { return c.DriverName }),
			kind.Age[T](),
		},
	}
}
