package apiserverinternal

import (
	"fmt"
	"strings"

	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// StorageVersions declares storageversions.
func StorageVersions() *kind.Kind[*apiserverinternalv1alpha1.StorageVersion] {
	type T = *apiserverinternalv1alpha1.StorageVersion
	return &kind.Kind[T]{
		Group: "internal.apiserver.k8s.io", Versions: []string{"v1alpha1"}, Resource: "storageversions", Singular: "storageversion", ClusterScoped: true,
		New:     func() T { return &apiserverinternalv1alpha1.StorageVersion{} },
		NewList: func() runtime.Object { return &apiserverinternalv1alpha1.StorageVersionList{} },
		Spec:    kind.Field(func(v T) *apiserverinternalv1alpha1.StorageVersionSpec { return &v.Spec }),
		Status:  kind.Field(func(v T) *apiserverinternalv1alpha1.StorageVersionStatus { return &v.Status }),
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("CommonEncodingVersion", func(v T) string {
				if v.Status.CommonEncodingVersion == nil {
					return "<unset>"
				}
				return *v.Status.CommonEncodingVersion
			}),
			kind.Text("StorageVersions", servers),
			kind.Age[T](),
		},
	}
}

// servers are the versions that the first three servers write.
func servers(v *apiserverinternalv1alpha1.StorageVersion) string {
	const shown = 3
	var out []string
	for i, s := range v.Status.StorageVersions {
		if i == shown {
			return fmt.Sprintf("%s + %d more...", strings.Join(out, ","), len(v.Status.StorageVersions)-shown)
		}
		out = append(out, s.APIServerID+"="+s.EncodingVersion)
	}
	return kind.OrNone(strings.Join(out, ","))
}
