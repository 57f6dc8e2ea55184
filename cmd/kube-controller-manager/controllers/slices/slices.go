// Package slices keeps EndpointSlices of Services with selectors, on k8s.io/endpointslice's reconciler.
package slices

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
	"k8s.io/endpointslice/topologycache"
	sliceutil "k8s.io/endpointslice/util"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/reconcile"
)

const controllerName = "endpointslice-controller.k8s.io"

// New returns the controller. maxEndpoints bounds a slice; changes of pods wait for batch, to take others along; workers
// reconcile Services in parallel.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, maxEndpoints int32, batch time.Duration, workers int) *reconcile.Controller {
	services, pods, nodes, slices := f.Core().V1().Services(), f.Core().V1().Pods(), f.Core().V1().Nodes(), f.Discovery().V1().EndpointSlices()
	tracker := sliceutil.NewEndpointSliceTracker()
	topology := topologycache.NewTopologyCache()
	r := endpointslice.NewReconciler(client, nodes.Lister(), maxEndpoints, tracker, topology, recorder, controllerName)
	triggers := sliceutil.NewTriggerTimeTracker()
	var c *reconcile.Controller
	c = reconcile.New("endpoint_slice", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		logger := klog.FromContext(ctx)
		svc, err := services.Lister().Services(key.Namespace).Get(key.Name)
		if apierrors.IsNotFound(err) {
			triggers.DeleteService(key.Namespace, key.Name)
			r.DeleteService(key.Namespace, key.Name)
			tracker.DeleteService(key.Namespace, key.Name)
			return reconcile.Result{}, nil // the slices follow their owner
		}
		if err != nil || svc.Spec.Type == v1.ServiceTypeExternalName || svc.Spec.Selector == nil {
			return reconcile.Result{}, err
		}
		selected, err := pods.Lister().Pods(svc.Namespace).List(labels.Set(svc.Spec.Selector).AsSelectorPreValidated())
		if err != nil {
			return reconcile.Result{}, err
		}
		owned := labels.Set{discoveryv1.LabelServiceName: svc.Name, discoveryv1.LabelManagedBy: controllerName}
		have, err := slices.Lister().EndpointSlices(svc.Namespace).List(owned.AsSelectorPreValidated())
		if err != nil {
			return reconcile.Result{}, err
		}
		live := have[:0:0]
		for _, s := range have {
			if s.DeletionTimestamp == nil {
				live = append(live, s)
			}
		}
		if tracker.StaleSlices(svc, live) {
			return reconcile.Result{}, fmt.Errorf("the controller's own writes are not in the cache: %w", reconcile.ErrRoutine)
		}
		trigger := triggers.ComputeEndpointLastChangeTriggerTime(svc.Namespace, svc, selected)
		err = r.Reconcile(logger, svc, selected, live, trigger)
		// The tracker knows the writes that were answered, and the library's errors do not say which one was not.
		c.Unsure(err, slices.Informer(), key, func(ctx context.Context) (runtime.Object, error) {
			return client.DiscoveryV1().EndpointSlices(svc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: owned.String()})
		})
		if err != nil {
			recorder.Eventf(svc, v1.EventTypeWarning, "FailedToUpdateEndpointSlices", "Error updating Endpoint Slices for Service %s/%s: %v", svc.Namespace, svc.Name, err)
		}
		return reconcile.Result{}, err
	}), reconcile.Options{Workers: workers})
	c.Watch(services.Informer(), func(obj any) []reconcile.Key {
		if s, ok := obj.(*v1.Service); ok {
			return []reconcile.Key{{Namespace: s.Namespace, Name: s.Name}}
		}
		return nil
	})
	c.WatchBatched(pods.Informer(), batch, func(obj any) []reconcile.Key { return SelectedBy(f, obj) })
	c.Watch(nodes.Informer(), func(any) []reconcile.Key {
		if all, err := nodes.Lister().List(labels.Everything()); err == nil {
			topology.SetNodes(klog.Background(), all)
		}
		return keysOf(topology.GetOverloadedServices())
	})
	c.Watch(slices.Informer(), func(obj any) []reconcile.Key {
		s, ok := obj.(*discoveryv1.EndpointSlice)
		if !ok || s.Labels[discoveryv1.LabelManagedBy] != controllerName || s.Labels[discoveryv1.LabelServiceName] == "" {
			return nil
		}
		if now, err := slices.Lister().EndpointSlices(s.Namespace).Get(s.Name); apierrors.IsNotFound(err) || (err == nil && lost(s, now)) {
			tracker.HandleDeletion(s) // or its own write of the slice would be waited for, for ever
		}
		return []reconcile.Key{{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}}
	})
	return c
}

// lost tells whether a slice is no longer what its Service has under its name: it is going, was replaced, or was given to another
// Service or controller.
func lost(s, now *discoveryv1.EndpointSlice) bool {
	return now.DeletionTimestamp != nil || now.UID != s.UID || now.Labels[discoveryv1.LabelManagedBy] != s.Labels[discoveryv1.LabelManagedBy] ||
		now.Labels[discoveryv1.LabelServiceName] != s.Labels[discoveryv1.LabelServiceName]
}

// keysOf parses keys as the library writes them.
func keysOf(texts []string) []reconcile.Key {
	var keys []reconcile.Key
	for _, text := range texts {
		if namespace, name, err := cache.SplitMetaNamespaceKey(text); err == nil {
			keys = append(keys, reconcile.Key{Namespace: namespace, Name: name})
		}
	}
	return keys
}

// SelectedBy gives the Services whose selectors match a pod.
func SelectedBy(f informers.SharedInformerFactory, obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	all, err := f.Core().V1().Services().Lister().Services(pod.Namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, s := range all {
		if len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			keys = append(keys, reconcile.Key{Namespace: s.Namespace, Name: s.Name})
		}
	}
	return keys
}
