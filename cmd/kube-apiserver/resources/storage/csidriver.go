package storage

import (
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// CSIDrivers declares csidrivers.
func CSIDrivers() *kind.Kind[*storagev1.CSIDriver] {
	type T = *storagev1.CSIDriver
	is := func(b *bool, unset bool) bool {
		if b == nil {
			return unset
		}
		return *b
	}
	return &kind.Kind[T]{
		Group: "storage.k8s.io", Resource: "csidrivers", Singular: "csidriver", ClusterScoped: true,
		New:               func() T { return &storagev1.CSIDriver{} },
		NewList:           func() runtime.Object { return &storagev1.CSIDriverList{} },
		Spec:              kind.Field(func(d T) *storagev1.CSIDriverSpec { return &d.Spec }),
		Generation:        true,
		ConditionalUpdate: true,
		ReturnDeleted:     true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Flag("AttachRequired", func(d T) bool { return is(d.Spec.AttachRequired, true) }),
			kind.Flag("PodInfoOnMount", func(d T) bool { return is(d.Spec.PodInfoOnMount, false) }),
			kind.Flag("StorageCapacity", func(d T) bool { return is(d.Spec.StorageCapacity, false) }),
			kind.Text("TokenRequests", func(d T) string {
				var audiences []string
				for _, t := range d.Spec.TokenRequests {
					audiences = append(audiences, t.Audience)
				}
				if len(audiences) == 0 {
					return "<unset>"
				}
				return strings.Join(audiences, ",")
			}),
			kind.Flag("RequiresRepublish", func(d T) bool { return is(d.Spec.RequiresRepublish, false) }),
			kind.Text("Modes", func(d T) string {
				var modes []string
				for _, m := range d.Spec.VolumeLifecycleModes {
					modes = append(modes, string(m))
				}
				return kind.OrNone(strings.Join(modes, ","))
			}),
			kind.Age[T](),
		},
	}
}
