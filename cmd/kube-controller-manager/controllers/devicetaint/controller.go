// Package devicetaint deletes pods from devices whose NoExecute taints their claims do not tolerate, or not for longer (KEP-5055).
// Taints are set by drivers in ResourceSlices and by administrators in DeviceTaintRules, whose status tells how far the eviction is.
package devicetaint

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	resourcelisters "k8s.io/client-go/listers/resource/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	library "k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

const (
	claimsByPool = "devicetaint/claim-pool"
	slicesByPool = "devicetaint/slice-pool"
)

// Controller has two loops: over pods, which evicts, and over rules, which tells.
type Controller struct {
	client   kubernetes.Interface
	recorder record.EventRecorder
	clock    clock.Clock
	pods     corelisters.PodLister
	podInf   cache.SharedIndexInformer
	claims   resourcelisters.ResourceClaimLister
	claimInf cache.SharedIndexInformer
	sliceInf cache.SharedIndexInformer
	rules    resourcelisters.DeviceTaintRuleLister
	ruleInf  cache.SharedIndexInformer

	podLoop, ruleLoop *reconcile.Controller

	mu sync.Mutex
	// evicted counts pods by the rule that they were deleted for.
	evicted map[types.UID]int
	// waiting are the pods whose deletion waits for the end of a toleration.
	waiting map[reconcile.Key]types.UID
}

// New makes the controller.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	pods, r := f.Core().V1().Pods(), f.Resource().V1()
	c := &Controller{
		client: client, recorder: recorder, clock: o.Clock, pods: pods.Lister(), podInf: pods.Informer(), claims: r.ResourceClaims().Lister(), claimInf: r.ResourceClaims().Informer(),
		sliceInf: r.ResourceSlices().Informer(), rules: r.DeviceTaintRules().Lister(), ruleInf: r.DeviceTaintRules().Informer(), evicted: map[types.UID]int{},
		waiting: map[reconcile.Key]types.UID{},
	}
	if err := c.claimInf.AddIndexers(cache.Indexers{claimsByPool: poolsOfClaim}); err != nil {
		return nil, err
	}
	if err := c.sliceInf.AddIndexers(cache.Indexers{slicesByPool: poolsOfSlice}); err != nil {
		return nil, err
	}
	c.podLoop = reconcile.New("device_taint_eviction", reconcile.Func(c.syncPod), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.podLoop.Watch(c.podInf, func(obj any) []reconcile.Key {
		if pod, ok := obj.(*v1.Pod); ok && usesDevices(pod) {
			return []reconcile.Key{reconcile.KeyOf(pod)}
		}
		return nil
	})
	c.podLoop.Watch(c.claimInf, podsOfClaim)
	c.podLoop.Watch(c.sliceInf, func(obj any) []reconcile.Key {
		pools, _ := poolsOfSlice(obj)
		return c.podsOfPools(pools...)
	})
	c.podLoop.Watch(c.ruleInf, func(any) []reconcile.Key {
		return c.podsOfPools(c.claimInf.GetIndexer().ListIndexFuncValues(claimsByPool)...)
	})

	// Rules are told about a moment after a change, for many pods at once.
	const moment = time.Second
	c.ruleLoop = reconcile.New("device_taint_rule", reconcile.Func(c.syncRule), reconcile.Options{Clock: o.Clock})
	soon := func(any) []reconcile.Key {
		all, _ := c.rules.List(labels.Everything())
		for _, rule := range all {
			c.ruleLoop.EnqueueAfter(reconcile.KeyOf(rule), moment)
		}
		return nil
	}
	c.ruleLoop.Watch(c.ruleInf, func(obj any) []reconcile.Key {
		for _, key := range reconcile.ObjectKey(obj) {
			c.ruleLoop.EnqueueAfter(key, moment)
		}
		return nil
	})
	c.ruleLoop.Watch(c.claimInf, soon)
	c.ruleLoop.Watch(c.sliceInf, soon)
	c.ruleLoop.Watch(c.podInf, func(obj any) []reconcile.Key {
		if pod, ok := obj.(*v1.Pod); ok && usesDevices(pod) {
			soon(obj)
		}
		return nil
	})
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { c.podLoop.Run(ctx) })
	both.Go(func() { c.ruleLoop.Run(ctx) })
	both.Wait()
}

func usesDevices(pod *v1.Pod) bool {
	return len(pod.Spec.ResourceClaims) > 0 || pod.Status.ExtendedResourceClaimStatus != nil
}

func poolKey(driver, pool string) string { return driver + "/" + pool }

func poolsOfClaim(obj any) ([]string, error) {
	claim, ok := obj.(*resourcev1.ResourceClaim)
	if !ok || claim.Status.Allocation == nil {
		return nil, nil
	}
	var keys []string
	for _, r := range claim.Status.Allocation.Devices.Results {
		if key := poolKey(r.Driver, r.Pool); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func poolsOfSlice(obj any) ([]string, error) {
	if s, ok := obj.(*resourcev1.ResourceSlice); ok {
		return []string{poolKey(s.Spec.Driver, s.Spec.Pool.Name)}, nil
	}
	return nil, nil
}

func podsOfClaim(obj any) []reconcile.Key {
	claim, ok := obj.(*resourcev1.ResourceClaim)
	if !ok {
		return nil
	}
	var keys []reconcile.Key
	for _, r := range claim.Status.ReservedFor {
		if r.APIGroup == "" && r.Resource == "pods" {
			keys = append(keys, reconcile.Key{Namespace: claim.Namespace, Name: r.Name})
		}
	}
	return keys
}

func (c *Controller) podsOfPools(pools ...string) []reconcile.Key {
	var keys []reconcile.Key
	for _, pool := range pools {
		found, err := c.claimInf.GetIndexer().ByIndex(claimsByPool, pool)
		if err != nil { // only for an unknown index
			return nil
		}
		for _, claim := range found {
			keys = append(keys, podsOfClaim(claim)...)
		}
	}
	return keys
}

// claimsOf are the claims that are reserved for the pod.
func (c *Controller) claimsOf(pod *v1.Pod) []*resourcev1.ResourceClaim {
	var out []*resourcev1.ResourceClaim
	for name, ours := range library.PodClaims(pod) {
		claim, err := c.claims.ResourceClaims(pod.Namespace).Get(name)
		if err == nil && (!ours || library.IsForPod(pod, claim, false) == nil) && library.IsReservedForPod(pod, claim, false) {
			out = append(out, claim)
		}
	}
	return out
}

// taints are those that drivers and rules put on a device.
func (c *Controller) taints(rules []*resourcev1.DeviceTaintRule) func(*resourcev1.DeviceRequestAllocationResult) []Taint {
	return func(r *resourcev1.DeviceRequestAllocationResult) []Taint {
		var out []Taint
		for _, device := range c.devices(r.Driver, r.Pool) {
			if device.Name == r.Device {
				for _, taint := range device.Taints {
					out = append(out, Taint{DeviceTaint: taint})
				}
			}
		}
		for _, rule := range rules {
			if Selects(rule, r.Driver, r.Pool, r.Device) {
				out = append(out, Taint{rule.Spec.Taint, rule})
			}
		}
		return out
	}
}

// devices are those of a pool's newest generation.
func (c *Controller) devices(driver, pool string) []resourcev1.Device {
	found, err := c.sliceInf.GetIndexer().ByIndex(slicesByPool, poolKey(driver, pool))
	if err != nil { // only for an unknown index
		return nil
	}
	newest := int64(-1)
	var out []resourcev1.Device
	for _, obj := range found {
		slice, ok := obj.(*resourcev1.ResourceSlice)
		if !ok || slice.Spec.Pool.Generation < newest {
			continue
		}
		if slice.Spec.Pool.Generation > newest {
			newest, out = slice.Spec.Pool.Generation, nil
		}
		out = append(out, slice.Spec.Devices...)
	}
	return out
}

func (c *Controller) syncPod(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, err := c.pods.Pods(key.Namespace).Get(key.Name)
	if err != nil || ended(pod) {
		c.waited(key)
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	rules, err := c.rules.List(labels.Everything())
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := PlanPod(c.claimsOf(pod), c.taints(rules), c.clock.Now())
	switch {
	case !plan.Due:
		if c.waited(key) == pod.UID {
			c.recorder.Event(pod, v1.EventTypeNormal, "DeviceTaintManagerEviction", "Cancelling deletion")
		}
		return reconcile.Result{}, nil
	case plan.Left > 0:
		c.wait(key, pod.UID)
		return reconcile.Result{RequeueAfter: plan.Left}, nil
	}
	return reconcile.Result{}, c.evict(ctx, pod, plan)
}

// wait notes that the pod's deletion waits.
func (c *Controller) wait(key reconcile.Key, pod types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[key] = pod
}

// waited returns the pod whose deletion waited; "": none did. It does no longer.
func (c *Controller) waited(key reconcile.Key) types.UID {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod := c.waiting[key]
	delete(c.waiting, key)
	return pod
}

func (c *Controller) syncRule(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	rule, err := c.rules.Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, c.forget()
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, c.report(ctx, rule)
}

// forget drops the counts of rules that are gone.
func (c *Controller) forget() error {
	all, err := c.rules.List(labels.Everything())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.evicted, func(uid types.UID, _ int) bool {
		return !slices.ContainsFunc(all, func(r *resourcev1.DeviceTaintRule) bool { return r.UID == uid })
	})
	return nil
}
