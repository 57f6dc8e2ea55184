package kind

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Review is a question that is asked by creating an object, and answered at once in its status. Nothing is stored.
type Review[T Object] struct {
	NewReview  func() T
	Singular   string
	Namespaced bool
	// Answer fills the status of the question. It comes before admission, as admission sees the whole object.
	Answer func(ctx context.Context, review T, admit func(context.Context) error) error
}

var _ rest.Creater = (*Review[*metav1.PartialObjectMetadata])(nil)

// New implements rest.Storage.
func (r *Review[T]) New() runtime.Object { return r.NewReview() }

// Destroy implements rest.Storage.
func (r *Review[T]) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (r *Review[T]) NamespaceScoped() bool { return r.Namespaced }

// GetSingularName implements rest.SingularNameProvider.
func (r *Review[T]) GetSingularName() string { return r.Singular }

// Create implements rest.Creater.
func (r *Review[T]) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review := obj.(T)
	err := r.Answer(ctx, review, func(ctx context.Context) error {
		if admit == nil {
			return nil
		}
		return admit(ctx, review.DeepCopyObject())
	})
	if err != nil {
		return nil, err
	}
	return review, nil
}
