// Package accounts gives every namespace what its pods expect, the ServiceAccount "default" and the ConfigMap kube-root-ca.crt with
// the API server's root CA, and looks after the tokens of service accounts that stand in Secrets.
package accounts

import (
	"context"
	"maps"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"pilotis.dev/pkg/reconcile"
)

// RootCAFields select the ConfigMaps of NewRootCA.
const RootCAFields = "metadata.name=" + rootCA

const (
	defaultAccount = "default"
	rootCA         = "kube-root-ca.crt"
	rootCAKey      = "ca.crt"
	rootCAComment  = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)

// perNamespace reconciles namespaces by their names, and objects called name in them by their namespaces.
func perNamespace(name string) func(obj any) []reconcile.Key {
	return func(obj any) []reconcile.Key {
		switch o := obj.(type) {
		case *v1.Namespace:
			return []reconcile.Key{{Name: o.Name}}
		case metav1.Object:
			if o.GetName() == name {
				return []reconcile.Key{{Name: o.GetNamespace()}}
			}
		}
		return nil
	}
}

// NewAccounts keeps a ServiceAccount "default" in every namespace that is not going away.
func NewAccounts(f informers.SharedInformerFactory, client kubernetes.Interface) *reconcile.Controller {
	namespaces, accounts := f.Core().V1().Namespaces(), f.Core().V1().ServiceAccounts()
	c := reconcile.New("serviceaccount", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		if !active(namespaces.Lister().Get(key.Name)) {
			return reconcile.Result{}, nil
		}
		if _, err := accounts.Lister().ServiceAccounts(key.Name).Get(defaultAccount); err == nil || !apierrors.IsNotFound(err) {
			return reconcile.Result{}, err
		}
		_, err := client.CoreV1().ServiceAccounts(key.Name).Create(ctx, &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: defaultAccount, Namespace: key.Name}}, metav1.CreateOptions{})
		return reconcile.Result{}, harmless(err)
	}), reconcile.Options{Workers: 5})
	c.Watch(namespaces.Informer(), perNamespace(""))
	c.Watch(accounts.Informer(), perNamespace(defaultAccount))
	return c
}

// NewRootCA keeps the ConfigMap kube-root-ca.crt with the PEM bundle ca in every namespace that is not going away. bundles has the
// ConfigMaps of RootCAFields.
func NewRootCA(namespaces coreinformers.NamespaceInformer, bundles cache.SharedIndexInformer, client kubernetes.Interface, ca []byte) *reconcile.Controller {
	lister := corelisters.NewConfigMapLister(bundles.GetIndexer())
	want := map[string]string{rootCAKey: string(ca)}
	c := reconcile.New("root_ca_cert_publisher", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		if !active(namespaces.Lister().Get(key.Name)) {
			return reconcile.Result{}, nil
		}
		have, err := lister.ConfigMaps(key.Name).Get(rootCA)
		if apierrors.IsNotFound(err) {
			_, err = client.CoreV1().ConfigMaps(key.Name).Create(ctx, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: rootCA, Namespace: key.Name, Annotations: map[string]string{"kubernetes.io/description": rootCAComment}}, Data: want}, metav1.CreateOptions{})
			return reconcile.Result{}, harmless(err)
		}
		if err != nil || (maps.Equal(have.Data, want) && len(have.BinaryData) == 0) {
			return reconcile.Result{}, err
		}
		update := have.DeepCopy()
		update.Data, update.BinaryData = want, nil
		_, err = client.CoreV1().ConfigMaps(key.Name).Update(ctx, update, metav1.UpdateOptions{})
		return reconcile.Result{}, harmless(err)
	}), reconcile.Options{Workers: 5})
	c.Watch(namespaces.Informer(), perNamespace(""))
	c.Watch(bundles, perNamespace(rootCA))
	return c
}

func active(ns *v1.Namespace, err error) bool {
	return err == nil && ns.DeletionTimestamp == nil && ns.Status.Phase != v1.NamespaceTerminating
}

// harmless: somebody else was faster, or the namespace is going away.
func harmless(err error) error {
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
