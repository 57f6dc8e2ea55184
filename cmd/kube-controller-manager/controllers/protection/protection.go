// Package protection keeps storage objects that are being deleted until nothing uses them any more: a claim until its pods are gone, a
// volume while it is bound, a VolumeAttributesClass while a claim or volume names it.
//
// An object carries a finalizer from its creation, which admission puts there; an object from before that gets it here. The
// controller takes it away from an object in deletion that is not in use (KEP-2639 and "Storage Object in Use Protection").
package protection

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

// Options of a controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

// object is an API object of one kind.
type object interface {
	metav1.Object
	runtime.Object
}

// guard protects the objects of one kind.
type guard[T object] struct {
	*reconcile.Controller
	finalizer string
	informer  cache.SharedIndexInformer
	get       func(reconcile.Key) (T, error)
	update    func(context.Context, T) (T, error)
	// inUse may be wrong about an object that is not being deleted: it is not asked.
	inUse func(context.Context, T) (bool, error)
}

func (g *guard[T]) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	obj, err := g.get(key)
	if err != nil {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	deleting, guarded := obj.GetDeletionTimestamp() != nil, slices.Contains(obj.GetFinalizers(), g.finalizer)
	if deleting != guarded {
		return reconcile.Result{}, nil
	}
	update := obj.DeepCopyObject().(T)
	if !deleting {
		update.SetFinalizers(append(update.GetFinalizers(), g.finalizer))
	} else {
		used, err := g.inUse(ctx, obj)
		if used || err != nil {
			return reconcile.Result{}, err
		}
		update.SetFinalizers(slices.DeleteFunc(update.GetFinalizers(), func(f string) bool { return f == g.finalizer }))
	}
	written, err := g.update(ctx, update)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if deleting {
		klog.FromContext(ctx).V(2).Info("No longer in use", "object", key.String())
		return reconcile.Result{}, nil // gone, or held by another finalizer
	}
	g.Wrote(g.informer, key, written)
	return reconcile.Result{}, nil
}
