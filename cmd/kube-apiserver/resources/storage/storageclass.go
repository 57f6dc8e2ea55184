package storage

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// StorageClasses declares storageclasses. The default class is marked in its name column.
func StorageClasses() *kind.Kind[*storagev1.StorageClass] {
	type T = *storagev1.StorageClass
	return &kind.Kind[T]{
		Group: "storage.k8s.io", Resource: "storageclasses", Singular: "storageclass", ShortNames: []string{"sc"}, ClusterScoped: true,
		New:           func() T { return &storagev1.StorageClass{} },
		NewList:       func() runtime.Object { return &storagev1.StorageClassList{} },
		ReturnDeleted: true,
		Columns: []kind.Column[T]{
			nameOrDefault(),
			kind.Text("Provisioner", func(c T) string { return c.Provisioner }),
			kind.Text("ReclaimPolicy", func(c T) string {
				if c.ReclaimPolicy == nil {
					return string(corev1.PersistentVolumeReclaimDelete)
				}
				return string(*c.ReclaimPolicy)
			}),
			kind.Text("VolumeBindingMode", func(c T) string {
				if c.VolumeBindingMode == nil {
					return string(storagev1.VolumeBindingImmediate)
				}
				return string(*c.VolumeBindingMode)
			}),
			kind.Flag("AllowVolumeExpansion", func(c T) bool { return c.AllowVolumeExpansion != nil && *c.AllowVolumeExpansion }),
			kind.Age[T](),
		},
	}
}

func nameOrDefault() kind.Column[*storagev1.StorageClass] {
	c := kind.Name[*storagev1.StorageClass]()
	c.Value = func(s *storagev1.StorageClass) any {
		for _, annotation := range []string{"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"} {
			if s.Annotations[annotation] == "true" {
				return s.Name + " (default)"
			}
		}
		return s.Name
	}
	return c
}
