package server

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// systemNamespaces are always there.
func systemNamespaces() []string {
	return []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease, metav1.NamespaceDefault}
}

// keepNamespaces creates the system namespaces, again when one was deleted.
func keepNamespaces(client kubernetes.Interface, informer coreinformers.NamespaceInformer) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		missing := make(chan string, len(systemNamespaces()))
		_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if n, ok := obj.(*corev1.Namespace); ok && slices.Contains(systemNamespaces(), n.Name) {
				select {
				case missing <- n.Name:
				case <-hook.Done():
				}
			}
		}})
		if err != nil {
			return err
		}
		for _, name := range systemNamespaces() {
			if err := untilDone(hook, "system namespace "+name, func(ctx context.Context) error { return createNamespace(ctx, client, name) }); err != nil {
				return err
			}
		}
		go func() {
			for {
				select {
				case name := <-missing:
					if err := untilDone(hook, "system namespace "+name, func(ctx context.Context) error { return createNamespace(ctx, client, name) }); err != nil {
						return
					}
					klog.FromContext(hook).Info("System namespace was deleted and is back", "namespace", name)
				case <-hook.Done():
					return
				}
			}
		}()
		return nil
	}
}

func createNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
