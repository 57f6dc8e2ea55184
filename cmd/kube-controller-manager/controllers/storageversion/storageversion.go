// Package storageversion removes from StorageVersions what API servers have reported that are gone (KEP-2339): each holds a Lease of its
// name, and one whose Lease has been deleted encodes nothing any more.
package storageversion

import (
	"context"
	"slices"

	internalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/storageversion"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

// identity is the label of the Leases of API servers.
const identity = "apiserver.kubernetes.io/identity"

// New makes the controller; its keys are StorageVersions.
func New(f informers.SharedInformerFactory, client kubernetes.Interface) *reconcile.Controller {
	versions, leases := f.Internal().V1alpha1().StorageVersions(), f.Coordination().V1().Leases()
	api := client.InternalV1alpha1().StorageVersions()
	var loop *reconcile.Controller
	loop = reconcile.New("storage_version_garbage_collector", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		v, err := versions.Lister().Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		var fault error
		update := without(v, func(server string) bool {
			_, err := leases.Lister().Leases(metav1.NamespaceSystem).Get(server)
			if apierrors.IsNotFound(err) {
				// A server that has just started may be ahead of the cache.
				_, err = client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, server, metav1.GetOptions{})
			}
			if apierrors.IsNotFound(err) {
				return true
			}
			if err != nil {
				fault = err
			}
			return false
		})
		switch {
		case fault != nil:
			return reconcile.Result{}, fault
		case update == nil:
			return reconcile.Result{}, nil
		case len(update.Status.StorageVersions) == 0:
			err := api.Delete(ctx, v.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &v.UID, ResourceVersion: &v.ResourceVersion}})
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		written, err := api.UpdateStatus(ctx, update, metav1.UpdateOptions{})
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		loop.Wrote(versions.Informer(), key, written)
		return reconcile.Result{}, nil
	}), reconcile.Options{})
	loop.Watch(versions.Informer(), reconcile.ObjectKey)
	loop.Watch(leases.Informer(), func(obj any) []reconcile.Key {
		lease, ok := obj.(*coordinationv1.Lease)
		if !ok || lease.Namespace != metav1.NamespaceSystem || lease.Labels[identity] == "" {
			return nil
		}
		if _, err := leases.Lister().Leases(lease.Namespace).Get(lease.Name); !apierrors.IsNotFound(err) {
			return nil // renewed
		}
		all, _ := versions.Lister().List(labels.Everything()) // from a cache: no error
		var keys []reconcile.Key
		for _, v := range all {
			if slices.ContainsFunc(v.Status.StorageVersions, func(s internalv1alpha1.ServerStorageVersion) bool { return s.APIServerID == lease.Name }) {
				keys = append(keys, reconcile.KeyOf(v))
			}
		}
		return keys
	})
	return loop
}

// without is v without the servers that are gone, and nil when all are there.
func without(v *internalv1alpha1.StorageVersion, gone func(server string) bool) *internalv1alpha1.StorageVersion {
	update := v.DeepCopy()
	update.Status.StorageVersions = slices.DeleteFunc(update.Status.StorageVersions, func(s internalv1alpha1.ServerStorageVersion) bool { return gone(s.APIServerID) })
	if len(update.Status.StorageVersions) == len(v.Status.StorageVersions) {
		return nil
	}
	storageversion.SetCommonEncodingVersion(update)
	return update
}
