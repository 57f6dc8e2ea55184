// Package mirroring copies Endpoints that somebody keeps by hand, for a Service without a selector, to EndpointSlices: what reads
// Services' backends (kube-proxy among them) reads slices alone (KEP-0752).
package mirroring

import (
	"context"
	"errors"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

const controllerName = "endpointslicemirroring-controller.k8s.io"

// Options of the controller.
type Options struct {
	Workers int
	// Limit bounds the addresses of a subset that are mirrored.
	Limit int
	// Batch is waited after a change of Endpoints, to take others along.
	Batch time.Duration
	Clock clock.WithTicker
}

// Controller mirrors.
type Controller struct {
	*reconcile.Controller
	options   Options
	client    kubernetes.Interface
	recorder  record.EventRecorder
	services  corelisters.ServiceLister
	endpoints corelisters.EndpointsLister
	slices    discoverylisters.EndpointSliceLister
	sliceInf  cache.SharedIndexInformer
}

// New makes the controller; its keys are Services, whose name their Endpoints have.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, o Options) *Controller {
	services, endpoints, slices := f.Core().V1().Services(), f.Core().V1().Endpoints(), f.Discovery().V1().EndpointSlices()
	c := &Controller{
		options: o, client: client, recorder: recorder, services: services.Lister(), endpoints: endpoints.Lister(), slices: slices.Lister(), sliceInf: slices.Informer(),
	}
	c.Controller = reconcile.New("endpoint_slice_mirroring", reconcile.Func(c.reconcile), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.Watch(services.Informer(), reconcile.ObjectKey)
	c.WatchBatched(endpoints.Informer(), o.Batch, reconcile.ObjectKey)
	c.Watch(c.sliceInf, func(obj any) []reconcile.Key {
		s, ok := obj.(*discoveryv1.EndpointSlice)
		if !ok || s.Labels[discoveryv1.LabelManagedBy] != controllerName || s.Labels[discoveryv1.LabelServiceName] == "" {
			return nil
		}
		return []reconcile.Key{{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}}
	})
	return c
}

func (c *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	service, err := c.services.Services(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		service, err = nil, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	endpoints, err := c.endpoints.Endpoints(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		endpoints, err = nil, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	existing, err := c.slices.EndpointSlices(key.Namespace).List(owned(key).AsSelectorPreValidated())
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := Plan{Delete: existing}
	if Mirrored(service, endpoints) {
		plan = PlanSlices(endpoints, existing, c.options.Limit)
		c.tell(endpoints, plan)
	}
	return reconcile.Result{}, c.apply(ctx, key, plan)
}

// owned are the labels of the slices that this controller makes for a Service.
func owned(service reconcile.Key) labels.Set {
	return labels.Set{discoveryv1.LabelServiceName: service.Name, discoveryv1.LabelManagedBy: controllerName}
}

// tell names what is left out.
func (c *Controller) tell(endpoints *v1.Endpoints, plan Plan) {
	if plan.Invalid > 0 {
		c.recorder.Eventf(endpoints, v1.EventTypeWarning, "InvalidIPAddress", "Skipped %d invalid IP addresses when mirroring to EndpointSlices", plan.Invalid)
	}
	if plan.Excess > 0 {
		c.recorder.Eventf(endpoints, v1.EventTypeWarning, "TooManyAddressesToMirror",
			"A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %d addresses were skipped", c.options.Limit, plan.Invalid+plan.Excess)
	}
}

func (c *Controller) apply(ctx context.Context, key reconcile.Key, plan Plan) error {
	api := c.client.DiscoveryV1().EndpointSlices(key.Namespace)
	var errs []error
	for _, slice := range plan.Create {
		made, err := api.Create(ctx, slice, metav1.CreateOptions{})
		if apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
			return nil
		}
		if err == nil {
			c.Wrote(c.sliceInf, key, made)
		}
		c.Unsure(err, c.sliceInf, key, func(ctx context.Context) (runtime.Object, error) {
			return api.List(ctx, metav1.ListOptions{LabelSelector: owned(key).String()})
		})
		errs = append(errs, err)
	}
	for _, slice := range plan.Update {
		written, err := api.Update(ctx, slice, metav1.UpdateOptions{})
		if err == nil {
			c.Wrote(c.sliceInf, key, written)
		}
		errs = append(errs, err)
	}
	for _, slice := range plan.Delete {
		if slice.DeletionTimestamp != nil {
			continue
		}
		err := api.Delete(ctx, slice.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(slice.UID))})
		if err == nil {
			c.Deleted(c.sliceInf, key, slice)
		}
		errs = append(errs, reconcile.IgnoreNotFound(err))
	}
	return errors.Join(errs...)
}
