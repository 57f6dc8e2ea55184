package rbac

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// guarded keeps users from writing roles and bindings by which they would gain rights.
func guarded(store *genericregistry.Store, env *kind.Env) error {
	if env.Guard == nil {
		return nil
	}
	store.BeginCreate = func(ctx context.Context, obj runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		return nothing, env.Guard.Check(ctx, obj, nil)
	}
	store.BeginUpdate = func(ctx context.Context, obj, old runtime.Object, _ *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		return nothing, env.Guard.Check(ctx, obj, old)
	}
	return nil
}

func nothing(context.Context, bool) {}
