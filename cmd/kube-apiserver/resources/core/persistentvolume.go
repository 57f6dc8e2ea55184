package core

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PersistentVolumes declares persistentvolumes.
func PersistentVolumes() *kind.Kind[*corev1.PersistentVolume] {
	type T = *corev1.PersistentVolume
	return &kind.Kind[T]{
		Resource: "persistentvolumes", Singular: "persistentvolume", ShortNames: []string{"pv"}, ClusterScoped: true,
		New:     func() T { return &corev1.PersistentVolume{} },
		NewList: func() runtime.Object { return &corev1.PersistentVolumeList{} },
		Spec:    kind.Field(func(v T) *corev1.PersistentVolumeSpec { return &v.Spec }),
		Status:  kind.Field(func(v T) *corev1.PersistentVolumeStatus { return &v.Status }),
		PrepareCreate: func(_ context.Context, v T) {
			now := metav1.Now()
			v.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: &now}
		},
		PrepareStatus: func(_ context.Context, v, old T) {
			if v.Status.Phase != old.Status.Phase {
				if same := v.Status.LastPhaseTransitionTime.Equal(old.Status.LastPhaseTransitionTime); same {
					now := metav1.Now()
					v.Status.LastPhaseTransitionTime = &now
				}
			}
		},
		ReturnDeleted: true,
		Select:        func(v T, set fields.Set) { set["name"] = v.Name },
		Columns: kind.Columns(
			[]kind.Column[T]{
				kind.Name[T](),
				kind.Text("Capacity", func(v T) string { return quantityOf(v.Spec.Capacity, corev1.ResourceStorage) }),
				kind.Text("Access Modes", func(v T) string { return accessModes(v.Spec.AccessModes) }),
				kind.Text("Reclaim Policy", func(v T) string { return string(v.Spec.PersistentVolumeReclaimPolicy) }),
				kind.Text("Status", func(v T) string {
					if v.DeletionTimestamp != nil {
						return "Terminating"
					}
					return string(v.Status.Phase)
				}),
				kind.Text("Claim", func(v T) string {
					if v.Spec.ClaimRef == nil {
						return ""
					}
					return v.Spec.ClaimRef.Namespace + "/" + v.Spec.ClaimRef.Name
				}),
				kind.Text("StorageClass", func(v T) string { return volumeClass(v) }),
				kind.Text("VolumeAttributesClass", func(v T) string { return orUnset(v.Spec.VolumeAttributesClassName) }),
				kind.Text("Reason", func(v T) string { return v.Status.Reason }),
				kind.Age[T](),
			},
			kind.Wide(kind.Text("VolumeMode", func(v T) string { return volumeMode(v.Spec.VolumeMode) })),
		),
	}
}

func volumeClass(v *corev1.PersistentVolume) string {
	if class, ok := v.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	return v.Spec.StorageClassName
}

func quantityOf(list corev1.ResourceList, name corev1.ResourceName) string {
	q, ok := list[name]
	if !ok {
		return ""
	}
	return q.String()
}

func orUnset(s *string) string {
	if s == nil {
		return "<unset>"
	}
	return *s
}

func volumeMode(m *corev1.PersistentVolumeMode) string {
	if m == nil {
		return "<unset>"
	}
	return string(*m)
}

// accessModes prints modes in short: RWO,ROX,RWX,RWOP.
func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	var short []string
	for _, known := range []struct {
		mode corev1.PersistentVolumeAccessMode
		name string
	}{
		{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"},
	} {
		for _, m := range modes {
			if m == known.mode {
				short = append(short, known.name)
				break
			}
		}
	}
	return strings.Join(short, ",")
}
