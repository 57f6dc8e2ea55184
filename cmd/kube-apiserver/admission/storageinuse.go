package admission

import (
	"context"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/admission"
)

// storageInUse adds the finalizers that keep volumes, claims and volume attributes classes while something uses them.
// Controllers take them away.
type storageInUse struct{ *admission.Handler }

func newStorageInUse(io.Reader) (admission.Interface, error) {
	return storageInUse{admission.NewHandler(admission.Create)}, nil
}

// Admit implements admission.MutationInterface.
func (storageInUse) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	var finalizer string
	switch {
	case is(a, "", "persistentvolumes"):
		finalizer = "kubernetes.io/pv-protection"
	case is(a, "", "persistentvolumeclaims"):
		finalizer = "kubernetes.io/pvc-protection"
	case is(a, "storage.k8s.io", "volumeattributesclasses"):
		finalizer = "kubernetes.io/vac-protection"
	default:
		return nil
	}
	obj, err := meta.Accessor(a.GetObject())
	if err != nil {
		return err
	}
	if !slices.Contains(obj.GetFinalizers(), finalizer) {
		obj.SetFinalizers(append(obj.GetFinalizers(), finalizer))
	}
	return nil
}
