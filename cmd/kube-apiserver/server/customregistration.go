package server

import (
	"context"
	"fmt"
	"slices"

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

// registerCustom asks for an APIService for each group and version that some CustomResourceDefinition serves.
func registerCustom(registry serviceRegistry) func(schema.GroupVersion, []*apiextensionsv1.CustomResourceDefinition) {
	return func(gv schema.GroupVersion, by []*apiextensionsv1.CustomResourceDefinition) {
		if len(by) == 0 {
			registry.RemoveAPIServiceToSync(gv.Version + "." + gv.Group)
			return
		}
		registry.AddAPIServiceToSync(localService(gv, customGroupPriority, customVersionPriority))
	}
}

// customVersions follows which CustomResourceDefinitions serve each group and version.
type customVersions struct {
	lister crdlisters.CustomResourceDefinitionLister
	synced cache.InformerSynced
	// changed is told of a version, and of the definitions that serve it now: of none, when it is no longer served.
	changed func(schema.GroupVersion, []*apiextensionsv1.CustomResourceDefinition)
	queue   workqueue.TypedRateLimitingInterface[schema.GroupVersion]
	first   chan struct{}
}

func followCustomVersions(name string, crds crdinformers.CustomResourceDefinitionInformer,
	changed func(schema.GroupVersion, []*apiextensionsv1.CustomResourceDefinition)) *customVersions {
	r := &customVersions{
		lister:  crds.Lister(),
		synced:  crds.Informer().HasSynced,
		changed: changed,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(workqueue.DefaultTypedControllerRateLimiter[schema.GroupVersion](),
			workqueue.TypedRateLimitingQueueConfig[schema.GroupVersion]{Name: name}),
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

func (r *customVersions) enqueue(obj any) {
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return
	}
	for _, v := range crd.Spec.Versions {
		r.queue.Add(schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name})
	}
}

// run serves the queue until ctx ends.
func (r *customVersions) run(ctx context.Context) {
	defer utilruntime.HandleCrash()
	if !cache.WaitForNamedCacheSync("custom versions", ctx.Done(), r.synced) {
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
func (r *customVersions) waitSynced(ctx context.Context) bool {
	select {
	case <-r.first:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *customVersions) sync(gv schema.GroupVersion) {
	crds, err := r.lister.List(labels.Everything())
	if err != nil {
		utilruntime.HandleError(fmt.Errorf("listing custom resource definitions: %w", err))
		return
	}
	var by []*apiextensionsv1.CustomResourceDefinition
	for _, crd := range crds {
		if crd.Spec.Group == gv.Group && slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
			return v.Name == gv.Version && v.Served
		}) {
			by = append(by, crd)
		}
	}
	r.changed(gv, by)
}
