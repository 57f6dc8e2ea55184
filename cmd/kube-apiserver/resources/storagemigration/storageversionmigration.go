package storagemigration

import (
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// StorageVersionMigrations declares storageversionmigrations.
func StorageVersionMigrations() *kind.Kind[*storagemigrationv1.StorageVersionMigration] {
	type T = *storagemigrationv1.StorageVersionMigration
	return &kind.Kind[T]{
		Group: "storagemigration.k8s.io", Versions: []string{"v1", "v1beta1"}, Resource: "storageversionmigrations", Singular: "storageversionmigration", ClusterScoped: true,
		New:     func() T { return &storagemigrationv1.StorageVersionMigration{} },
		NewList: func() runtime.Object { return &storagemigrationv1.StorageVersionMigrationList{} },
		Spec:    kind.Field(func(m T) *storagemigrationv1.StorageVersionMigrationSpec { return &m.Spec }),
		Status:  kind.Field(func(m T) *storagemigrationv1.StorageVersionMigrationStatus { return &m.Status }),
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Resource", func(m T) string { return m.Spec.Resource.Resource + "." + m.Spec.Resource.Group }),
			kind.Age[T](),
		},
	}
}
