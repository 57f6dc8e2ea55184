package kind

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// gracefulStrategy is the delete strategy of kinds with graceful deletion.
type gracefulStrategy[T Object] struct{ strategy[T] }

// CheckGracefulDelete implements rest.RESTGracefulDeleteStrategy. It decides from what the client asked, each time: the
// registry hands the same options to every attempt, and what an attempt on an outdated object put there (a pod that is
// not bound yet goes at once) must not decide about the current one.
func (s gracefulStrategy[T]) CheckGracefulDelete(ctx context.Context, o runtime.Object, options *metav1.DeleteOptions) bool {
	if a, ok := ctx.Value(askedKey{}).(asked); ok {
		options.GracePeriodSeconds = a.period
	}
	return s.kind.Graceful(ctx, o.(T), options)
}

// asked is the grace period, in seconds, that a deletion asks for; nil: it leaves that to the object.
type asked struct{ period *int64 }

type askedKey struct{}

func withAsked(ctx context.Context, options *metav1.DeleteOptions) context.Context {
	if options == nil {
		options = metav1.NewDeleteOptions(0) // what the registry takes it for
	}
	return context.WithValue(ctx, askedKey{}, asked{options.GracePeriodSeconds})
}

// Delete implements rest.GracefulDeleter.
func (s *Store) Delete(ctx context.Context, name string, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	return s.Store.Delete(withAsked(ctx, options), name, admit, options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (s *Store) DeleteCollection(ctx context.Context, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *internalversion.ListOptions) (runtime.Object, error) {
	return s.Store.DeleteCollection(withAsked(ctx, options), admit, options, list)
}
