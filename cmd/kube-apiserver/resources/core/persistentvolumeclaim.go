package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PersistentVolumeClaims declares persistentvolumeclaims.
func PersistentVolumeClaims() *kind.Kind[*corev1.PersistentVolumeClaim] {
	type T = *corev1.PersistentVolumeClaim
	return &kind.Kind[T]{
		Resource: "persistentvolumeclaims", Singular: "persistentvolumeclaim", ShortNames: []string{"pvc"},
		New:     func() T { return &corev1.PersistentVolumeClaim{} },
		NewList: func() runtime.Object { return &corev1.PersistentVolumeClaimList{} },
		Spec:    kind.Field(func(c T) *corev1.PersistentVolumeClaimSpec { return &c.Spec }),
		Status:  kind.Field(func(c T) *corev1.PersistentVolumeClaimStatus { return &c.Status }),
		PrepareCreate: func(_ context.Context, c T) {
			c.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
			mirrorDataSource(&c.Spec)
		},
		PrepareUpdate: func(_ context.Context, c, _ T) { mirrorDataSource(&c.Spec) },
		ReturnDeleted: true,
		Select:        func(c T, set fields.Set) { set["name"] = c.Name },
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Text("Status", func(c T) string {
					if c.DeletionTimestamp != nil {
						return "Terminating"
					}
					return string(c.Status.Phase)
				}),
				kind.Text("Volume", func(c T) string { return c.Spec.VolumeName }),
				kind.Text("Capacity", func(c T) string {
					if c.Spec.VolumeName == "" {
						return ""
					}
					return quantityOf(c.Status.Capacity, corev1.ResourceStorage)
				}),
				kind.Text("Access Modes", func(c T) string {
					if c.Spec.VolumeName == "" {
						return ""
					}
					return accessModes(c.Status.AccessModes)
				}),
				kind.Text("StorageClass", claimClass),
				kind.Text("VolumeAttributesClass", func(c T) string { return orUnset(c.Spec.VolumeAttributesClassName) }),
				kind.Age[T](),
			},
			kind.Wide(kind.Text("VolumeMode", func(c T) string { return volumeMode(c.Spec.VolumeMode) })),
		),
	}
}

func claimClass(c *corev1.PersistentVolumeClaim) string {
	if class, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	if c.Spec.StorageClassName == nil {
		return ""
	}
	return *c.Spec.StorageClassName
}

// mirrorDataSource keeps dataSource and dataSourceRef the same while both may say it (API reference of core/v1):
// the reference alone can name a namespace, then dataSource stays empty.
func mirrorDataSource(s *corev1.PersistentVolumeClaimSpec) {
	if ref := s.DataSourceRef; ref != nil && ref.Namespace != nil && *ref.Namespace != "" {
		return
	}
	switch {
	case s.DataSource != nil && s.DataSourceRef == nil:
		s.DataSourceRef = &corev1.TypedObjectReference{APIGroup: s.DataSource.APIGroup, Kind: s.DataSource.Kind, Name: s.DataSource.Name}
	case s.DataSourceRef != nil && s.DataSource == nil:
		s.DataSource = &corev1.TypedLocalObjectReference{APIGroup: s.DataSourceRef.APIGroup, Kind: s.DataSourceRef.Kind, Name: s.DataSourceRef.Name}
	}
}
