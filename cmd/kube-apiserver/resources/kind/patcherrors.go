package kind

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Update implements rest.Updater.
func (s *Store) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, allowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	obj, created, err := s.Store.Update(ctx, name, info, create, update, allowCreate, options)
	return obj, created, patchError(err)
}

// patchError blames the client for a patch that does not fit the kind. k8s.io/apiserver has no error type for an applied field
// of another type and for a directive about a field that there is not, and answers as if the server were at fault.
func patchError(err error) error {
	if err == nil {
		return nil
	}
	for _, fault := range []string{"failed to create typed patch object", "unable to find api field"} {
		if strings.HasPrefix(err.Error(), fault) {
			return apierrors.NewBadRequest(err.Error())
		}
	}
	return err
}
