package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// VolumeAttachments declares volumeattachments.
func VolumeAttachments() *kind.Kind[*storagev1.VolumeAttachment] {
	type T = *storagev1.VolumeAttachment
	return &kind.Kind[T]{
		Group: "storage.k8s.io", Resource: "volumeattachments", Singular: "volumeattachment", ClusterScoped: true,
		New:               func() T { return &storagev1.VolumeAttachment{} },
		NewList:           func() runtime.Object { return &storagev1.VolumeAttachmentList{} },
		Spec:              kind.Field(func(a T) *storagev1.VolumeAttachmentSpec { return &a.Spec }),
		Status:            kind.Field(func(a T) *storagev1.VolumeAttachmentStatus { return &a.Status }),
		ConditionalUpdate: true,
		ReturnDeleted:     true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Attacher", func(a T) string { return a.Spec.Attacher }),
			kind.Text("PV", func(a T) string {
				if a.Spec.Source.PersistentVolumeName == nil {
					return ""
				}
				return *a.Spec.Source.PersistentVolumeName
			}),
			kind.Text("Node", func(a T) string { return a.Spec.NodeName }),
			kind.Flag("Attached", func(a T) bool { return a.Status.Attached }),
			kind.Age[T](),
		},
	}
}
