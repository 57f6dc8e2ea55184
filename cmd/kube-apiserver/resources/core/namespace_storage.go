package core

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerrors "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// namespaces serves namespaces: a deletion only begins their end, and there is no deletion of all at once.
type namespaces struct {
	plain
	store *kind.Store
}

// plain is what a store serves besides deletion.
type plain interface {
	rest.Storage
	rest.Scoper
	rest.SingularNameProvider
	rest.ShortNamesProvider
	rest.CategoriesProvider
	rest.Getter
	rest.Lister
	rest.CreaterUpdater
	rest.Watcher
	rest.ResetFieldsStrategy
	rest.StorageWithReadiness
}

var _ rest.GracefulDeleter = (*namespaces)(nil)

// Delete implements rest.GracefulDeleter: the namespace is Terminating from now on, and gone when its contents are and
// no finalizer is left.
func (n *namespaces) Delete(ctx context.Context, name string, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	obj, err := n.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	namespace := obj.(*corev1.Namespace)
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	preconditions := &storage.Preconditions{UID: &namespace.UID}
	if p := options.Preconditions; p != nil {
		if p.UID != nil && *p.UID != namespace.UID {
			return nil, false, apierrors.NewConflict(corev1.Resource("namespaces"), name,
				fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", *p.UID, namespace.UID)) //nolint:staticcheck // as clients know it
		}
		if p.ResourceVersion != nil && *p.ResourceVersion != namespace.ResourceVersion {
			return nil, false, apierrors.NewConflict(corev1.Resource("namespaces"), name,
				fmt.Errorf("Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", *p.ResourceVersion, namespace.ResourceVersion)) //nolint:staticcheck // as clients know it
		}
		preconditions.ResourceVersion = p.ResourceVersion
	}
	if namespace.DeletionTimestamp != nil {
		if len(namespace.Spec.Finalizers) > 0 {
			return namespace, false, nil
		}
		return n.store.Delete(ctx, name, admit, options)
	}
	key, err := n.store.KeyFunc(ctx, name)
	if err != nil {
		return nil, false, err
	}
	out := &corev1.Namespace{}
	err = n.store.Storage.GuaranteedUpdate(ctx, key, out, false, preconditions, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		existing := obj.(*corev1.Namespace)
		if admit != nil {
			if err := admit(ctx, existing); err != nil {
				return nil, err
			}
		}
		terminate(existing, options)
		return existing, nil
	}), dryrun.IsDryRun(options.DryRun), nil)
	if err != nil {
		err = storeerrors.InterpretGetError(err, corev1.Resource("namespaces"), name)
		err = storeerrors.InterpretUpdateError(err, corev1.Resource("namespaces"), name)
		return nil, false, err
	}
	return out, false, nil
}

func terminate(n *corev1.Namespace, options *metav1.DeleteOptions) {
	if n.DeletionTimestamp == nil {
		now := metav1.Now()
		n.DeletionTimestamp = &now
	}
	n.Status.Phase = corev1.NamespaceTerminating
	// Whoever asks to orphan what the namespace owns is served by the garbage collector.
	orphan := options.OrphanDependents != nil && *options.OrphanDependents ||
		options.PropagationPolicy != nil && *options.PropagationPolicy == metav1.DeletePropagationOrphan
	has := slices.Contains(n.Finalizers, metav1.FinalizerOrphanDependents)
	switch {
	case orphan && !has:
		n.Finalizers = append(n.Finalizers, metav1.FinalizerOrphanDependents)
	case has && (options.OrphanDependents != nil || options.PropagationPolicy != nil) && !orphan:
		n.Finalizers = slices.DeleteFunc(slices.Clone(n.Finalizers), func(f string) bool { return f == metav1.FinalizerOrphanDependents })
	}
}

// namespaceGone says when an update is the end: it was deleted and nobody has work left to do on it.
func namespaceGone(ctx context.Context, key string, obj, existing runtime.Object) bool {
	n, ok := obj.(*corev1.Namespace)
	if !ok {
		return false
	}
	return len(n.Spec.Finalizers) == 0 && genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
}

// namespaceFinalize is namespaces/finalize: the one place where spec.finalizers can change.
type namespaceFinalize struct{ updater *kind.Updater }

var _ rest.Updater = (*namespaceFinalize)(nil)

func newNamespaceFinalize(store *kind.Store, env *kind.Env) *namespaceFinalize {
	s := finalizeStrategy{RESTUpdateStrategy: store.UpdateStrategy, rules: env.Rules}
	return &namespaceFinalize{kind.NewUpdater(store, s, nil)}
}

// New implements rest.Storage.
func (f *namespaceFinalize) New() runtime.Object { return &corev1.Namespace{} }

// Destroy implements rest.Storage.
func (f *namespaceFinalize) Destroy() {}

// Update implements rest.Updater.
func (f *namespaceFinalize) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, force bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return f.updater.Update(ctx, name, info, create, update, force, options)
}

type finalizeStrategy struct {
	rest.RESTUpdateStrategy
	rules kind.Rules
}

func (finalizeStrategy) PrepareForUpdate(_ context.Context, o, old runtime.Object) {
	o.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
}

func (s finalizeStrategy) ValidateUpdate(_ context.Context, o, old runtime.Object) field.ErrorList {
	return s.rules.Subresource("finalize", o, old)
}
