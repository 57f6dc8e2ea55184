package server

import (
	"context"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdinformers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	crdlisters "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

const (
	// customPriority puts custom groups behind all built-in ones, versionPriority leaves room on both sides.
	customGroupPriority   = 1000
	customVersionPriority = 100
)

type serviceRegistry interface {
	AddAPIServiceToSync(*apiregistrationv1.APIService)
	RemoveAPIServiceToSync(name string)
}

// customRegistration asks for an APIService for each group and version that some CustomResourceDefinition serves.
type customRegistration struct {
	lister   crdlisters.CustomResourceDefinitionLister
	synced   cache.InformerSynced
	registry serviceRegistry
	queue    workqueue.TypedRateLimitingInterface[schema.GroupVersion]
	first    chan struct{}
}

func newCustomRegistration(crds crdinformers.CustomResourceDefinitionInformer, registry serviceRegistry) *customRegistration {
	r := &customRegistration{
		lister:   crds.Lister(),
		synced:   crds.Informer().HasSynced,
		registry: registry,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(workqueue.DefaultTypedControllerRateLimiter[schema.GroupVersion](),
			workqueue.TypedRateLimitingQueueConfig[schema.GroupVersion]{Name: "crd-autoregister"}),
		first: make(chan struct{}),
	}
	_, err := crds.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: r.enqueue,
		UpdateFunc: func(old, now any) {
			r.enqueue(old)
			r.enqueue(now)
		},
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			r.enqueue(obj)
		},
	})
	utilruntime.HandleError(err)
	return r
}

func (r *customRegistration) enqueue(obj any) {
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return
	}
	for _, v := range crd.Spec.Versions {
		r.queue.Add(schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name})
	}
}

// run serves the queue until ctx ends.
func (r *customRegistration) run(ctx context.Context) {
	defer utilruntime.HandleCrash()
	if !cache.WaitForNamedCacheSync("crd-autoregister", ctx.Done(), r.synced) {
		return
	}
	// All that exist are asked for before the registrations of last time are looked at.
	if crds, err := r.lister.List(labels.Everything()); err != nil {
		utilruntime.HandleError(fmt.Errorf("listing custom resource definitions: %w", err))
	} else {
		for _, crd := range crds {
			for _, v := range crd.Spec.Versions {
				r.sync(schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name})
			}
		}
	}
	close(r.first)
	go func() {
		<-ctx.Done()
		r.queue.ShutDown()
	}()
	for {
		gv, quit := r.queue.Get()
		if quit {
			return
		}
		r.sync(gv)
		r.queue.Forget(gv)
		r.queue.Done(gv)
	}
}

// waitSynced waits for the first round and says whether it came before ctx ended.
func (r *customRegistration) waitSynced(ctx context.Context) bool {
	select {
	case <-r.first:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *customRegistration) sync(gv schema.GroupVersion) {
	crds, err := r.lister.List(labels.Everything())
	if err != nil {
		utilruntime.HandleError(fmt.Errorf("listing custom resource definitions: %w", err))
		return
	}
	for _, crd := range crds {
		if crd.Spec.Group != gv.Group {
			continue
		}
		for _, v := range crd.Spec.Versions {
			if v.Name == gv.Version && v.Served {
				r.registry.AddAPIServiceToSync(localService(gv, customGroupPriority, customVersionPriority))
				return
			}
		}
	}
	r.registry.RemoveAPIServiceToSync(gv.Version + "." + gv.Group)
}
