package reconcile

import apierrors "k8s.io/apimachinery/pkg/api/errors"

// IgnoreNotFound is err, or nil when err says that an object does not exist: for a controller that is the end of its work.
func IgnoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
