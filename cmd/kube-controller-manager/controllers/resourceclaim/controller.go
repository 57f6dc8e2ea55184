// Package resourceclaim makes the ResourceClaims that pods ask for by template, and takes claims back from pods that are done with
// them: the reservation, with the last one the allocation, and a claim that was made for one pod alone (KEP-4381).
package resourceclaim

import (
	"context"
	"errors"
	"sync"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	resourcelisters "k8s.io/client-go/listers/resource/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	library "k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

const (
	byTemplate = "resourceclaim/template"
	byClaim    = "resourceclaim/claim"
)

// Controller has two loops: over pods, which makes claims, and over claims, which takes them back.
type Controller struct {
	client    kubernetes.Interface
	recorder  record.EventRecorder
	pods      corelisters.PodLister
	podInf    cache.SharedIndexInformer
	claims    resourcelisters.ResourceClaimLister
	claimInf  cache.SharedIndexInformer
	templates resourcelisters.ResourceClaimTemplateLister
	owned     ownership.View[*resourcev1.ResourceClaim]

	podLoop, claimLoop *reconcile.Controller
}

// New makes the controller.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*Controller, error) {
	pods, claims, templates := f.Core().V1().Pods(), f.Resource().V1().ResourceClaims(), f.Resource().V1().ResourceClaimTemplates()
	owned, err := ownership.NewView[*resourcev1.ResourceClaim](claims.Informer())
	if err != nil {
		return nil, err
	}
	if err := pods.Informer().AddIndexers(cache.Indexers{byTemplate: templatesOf, byClaim: namedBy}); err != nil {
		return nil, err
	}
	c := &Controller{
		client: client, recorder: recorder, pods: pods.Lister(), podInf: pods.Informer(), claims: claims.Lister(), claimInf: claims.Informer(),
		templates: templates.Lister(), owned: owned,
	}
	options := reconcile.Options{Workers: o.Workers, Clock: o.Clock}
	c.podLoop = reconcile.New("resource_claim_pods", reconcile.Func(c.syncPod), options)
	c.claimLoop = reconcile.New("resource_claim", reconcile.Func(c.syncClaim), options)
	c.podLoop.Watch(c.podInf, func(obj any) []reconcile.Key {
		if pod, ok := obj.(*v1.Pod); ok && len(pod.Spec.ResourceClaims) > 0 {
			return []reconcile.Key{reconcile.KeyOf(pod)}
		}
		return nil
	})
	c.podLoop.Watch(c.claimInf, c.podsOfClaim)
	c.podLoop.Watch(templates.Informer(), c.podsOfTemplate)
	c.claimLoop.Watch(c.claimInf, reconcile.ObjectKey)
	c.claimLoop.Watch(c.podInf, c.claimsOfPod)
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { c.podLoop.Run(ctx) })
	both.Go(func() { c.claimLoop.Run(ctx) })
	both.Wait()
}

// templatesOf are the templates that a pod lacks a claim of.
func templatesOf(obj any) ([]string, error) {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil, nil
	}
	var names []string
	for i := range pod.Spec.ResourceClaims {
		if template := pod.Spec.ResourceClaims[i].ResourceClaimTemplateName; template != nil && len(pod.Status.ResourceClaimStatuses) < len(pod.Spec.ResourceClaims) {
			names = append(names, pod.Namespace+"/"+*template)
		}
	}
	return names, nil
}

// namedBy are the claims that a pod names.
func namedBy(obj any) ([]string, error) {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil, nil
	}
	var names []string
	for name := range library.PodClaims(pod) {
		names = append(names, pod.Namespace+"/"+name)
	}
	return names, nil
}

func (c *Controller) podsOfTemplate(obj any) []reconcile.Key { return c.podsBy(byTemplate, obj) }

// podsBy are the pods that have obj in an index.
func (c *Controller) podsBy(index string, obj any) []reconcile.Key {
	var keys []reconcile.Key
	for _, key := range reconcile.ObjectKey(obj) {
		found, err := c.podInf.GetIndexer().ByIndex(index, key.String())
		if err != nil { // only for an unknown index
			return nil
		}
		for _, pod := range found {
			keys = append(keys, reconcile.ObjectKey(pod)...)
		}
	}
	return keys
}

// podsOfClaim are the pods that name the claim, and the one that owns it.
func (c *Controller) podsOfClaim(obj any) []reconcile.Key {
	claim, ok := obj.(*resourcev1.ResourceClaim)
	if !ok {
		return nil
	}
	keys := c.podsBy(byClaim, claim)
	for _, owner := range claim.OwnerReferences {
		if owner.Kind == "Pod" && owner.APIVersion == "v1" {
			keys = append(keys, reconcile.Key{Namespace: claim.Namespace, Name: owner.Name})
		}
	}
	return keys
}

// claimsOfPod are the claims that the pod names, and those it owns.
func (c *Controller) claimsOfPod(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	var keys []reconcile.Key
	for name := range library.PodClaims(pod) {
		keys = append(keys, reconcile.Key{Namespace: pod.Namespace, Name: name})
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		for _, claim := range c.owned.Of(pod.UID) {
			keys = append(keys, reconcile.KeyOf(claim))
		}
	}
	return keys
}

func (c *Controller) syncPod(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, err := c.pods.Pods(key.Namespace).Get(key.Name)
	if err != nil {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	plan, fault := PlanPod(pod, PodView{
		Claim: func(name string) *resourcev1.ResourceClaim {
			claim, err := c.claims.ResourceClaims(key.Namespace).Get(name)
			if err != nil {
				return nil
			}
			return claim
		},
		Template: func(name string) *resourcev1.ResourceClaimTemplate {
			template, err := c.templates.ResourceClaimTemplates(key.Namespace).Get(name)
			if err != nil {
				return nil
			}
			return template
		},
		Owned: c.owned.Of(pod.UID),
	})
	if fault != nil {
		c.recorder.Event(pod, v1.EventTypeWarning, "FailedResourceClaimCreation", fault.Error())
	}
	if err := c.applyPod(ctx, key, pod, plan); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, fault
}

func (c *Controller) syncClaim(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	claim, err := c.claims.ResourceClaims(key.Namespace).Get(key.Name)
	if err != nil {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	var failure error
	plan := PlanClaim(claim, func(name string, uid types.UID) bool {
		used, err := c.uses(ctx, key.Namespace, name, uid)
		failure = errors.Join(failure, err)
		return used
	}, func(owner *metav1.OwnerReference) bool { return c.ownerDone(key.Namespace, owner) })
	if failure != nil {
		return reconcile.Result{}, failure
	}
	return reconcile.Result{}, c.applyClaim(ctx, key, claim, plan)
}
