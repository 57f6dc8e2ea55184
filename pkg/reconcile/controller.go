package reconcile

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	// The import installs the workqueue_* metrics (depth, adds, latency, retries …) in the legacy registry.
	_ "k8s.io/component-base/metrics/prometheus/workqueue"
)

// Key names the object a reconciliation is about. Namespace is empty for cluster-scoped objects.
type Key = types.NamespacedName

// Result says what is to happen to a key after a successful reconciliation.
type Result struct {
	// RequeueAfter reconciles the key again after this time, besides what events ask for. Zero or less: not.
	RequeueAfter time.Duration
}

// Reconciler brings one object closer to its desired state. Reconcile is never run for the same key by two workers at once,
// and never while a write that it reported for the key is missing in the cache. An error puts the key back with exponential
// back-off.
type Reconciler interface {
	Reconcile(ctx context.Context, key Key) (Result, error)
}

// Func makes a function a Reconciler.
type Func func(ctx context.Context, key Key) (Result, error)

// Reconcile calls f.
func (f Func) Reconcile(ctx context.Context, key Key) (Result, error) { return f(ctx, key) }

// Options of a Controller; the zero value is ready for use.
type Options struct {
	// Workers is the number of keys reconciled in parallel; 1 when zero.
	Workers int
	// Clock times back-off and delays; the real clock when nil.
	Clock clock.WithTicker
	// BaseDelay and MaxDelay bound the exponential back-off of a failing key; 5 ms and 5 min when zero.
	BaseDelay, MaxDelay time.Duration
	// MaxRetries gives a failing key up after so many tries in a row, until the next event for it; 0 means never.
	MaxRetries int
	// Synced are caches to wait for before the first reconciliation, besides those that are watched.
	Synced []cache.InformerSynced
}

// Controller runs a Reconciler over a queue of keys.
type Controller struct {
	name       string
	reconciler Reconciler
	options    Options
	queue      workqueue.TypedRateLimitingInterface[Key]
	order      *order
	gate       *gate

	mu     sync.Mutex
	synced []cache.DoneChecker
	doubts map[Key]map[cache.SharedIndexInformer]List
}

// New returns a controller; name is the value of the label "name" of its queue's metrics.
func New(name string, r Reconciler, o Options) *Controller {
	if o.Workers <= 0 {
		o.Workers = 1
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.BaseDelay <= 0 {
		o.BaseDelay = 5 * time.Millisecond
	}
	if o.MaxDelay <= 0 {
		o.MaxDelay = 5 * time.Minute
	}
	c := &Controller{name: name, reconciler: r, options: o}
	c.order = newOrder()
	clock := quiet{o.Clock}
	ordered := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[Key]{Name: name, Clock: clock, Queue: c.order})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[Key]{Name: name, Clock: clock, Queue: ordered})
	c.queue = workqueue.NewTypedRateLimitingQueueWithConfig(newBackoff(o), workqueue.TypedRateLimitingQueueConfig[Key]{Name: name, Clock: clock, DelayingQueue: delaying})
	c.gate = newGate(c.queue.Add)
	return c
}

// Name returns the name given to New.
func (c *Controller) Name() string { return c.name }

// Enqueue asks for a reconciliation of key.
func (c *Controller) Enqueue(key Key) { c.queue.Add(key) }

// EnqueueAfter asks for a reconciliation of key after delay.
func (c *Controller) EnqueueAfter(key Key, delay time.Duration) { c.queue.AddAfter(key, delay) }

// Watch enqueues the keys that keys returns for each object that inf adds, updates or deletes. An update enqueues the keys of
// the old and of the new object; the last known state of a deleted object is unwrapped from its tombstone. keys may be nil to
// only wait for the cache and to follow its progress. Run waits for inf to be complete. What the first list and a resync tell waits
// behind what happens.
func (c *Controller) Watch(inf cache.SharedIndexInformer, keys func(obj any) []Key) {
	c.WatchBatched(inf, 0, keys)
}

// WatchBatched is Watch with a delay before each reconciliation, in which further changes are taken along.
func (c *Controller) WatchBatched(inf cache.SharedIndexInformer, delay time.Duration, keys func(obj any) []Key) {
	src := c.gate.source(inf)
	enqueue := func(known bool, objs ...any) {
		if keys == nil {
			return
		}
		seen := make(map[Key]struct{}, 2)
		for _, obj := range objs {
			for _, key := range keys(obj) {
				if _, dup := seen[key]; !dup {
					seen[key] = struct{}{}
					c.order.expect(key, known)
					c.queue.AddAfter(key, delay)
				}
			}
		}
	}
	registration, err := inf.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, listed bool) {
			c.gate.delivered(src, obj, false)
			enqueue(listed, obj)
		},
		UpdateFunc: func(old, obj any) {
			c.gate.delivered(src, obj, false)
			enqueue(unchanged(old, obj), old, obj)
		},
		DeleteFunc: func(obj any) {
			obj = Unwrap(obj)
			c.gate.delivered(src, obj, true)
			enqueue(false, obj)
		},
	})
	if err != nil {
		// The informer was stopped: the process is shutting down, and nothing will be delivered any more.
		klog.Background().V(2).Info("Event handler not added", "controller", c.name, "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = append(c.synced, registration.HasSyncedChecker())
}

// unchanged tells whether an update is a resync.
func unchanged(old, obj any) bool {
	a, errA := meta.Accessor(old)
	b, errB := meta.Accessor(obj)
	return errA == nil && errB == nil && a.GetResourceVersion() != "" && a.GetResourceVersion() == b.GetResourceVersion()
}

// Unwrap returns the last known state of a deleted object when obj is the tombstone of one, and obj otherwise.
func Unwrap(obj any) any {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return tombstone.Obj
	}
	return obj
}

// Run waits for the caches, then reconciles until ctx ends; it returns when the last worker has finished its key.
func (c *Controller) Run(ctx context.Context) {
	logger := klog.LoggerWithName(klog.FromContext(ctx), c.name)
	ctx = klog.NewContext(ctx, logger)
	defer logger.V(1).Info("Controller stopped")
	c.mu.Lock()
	synced := append([]cache.DoneChecker(nil), c.synced...)
	c.mu.Unlock()
	if !cache.WaitFor(ctx, "", synced...) || len(c.options.Synced) > 0 && !cache.WaitForCacheSync(ctx.Done(), c.options.Synced...) {
		c.queue.ShutDown()
		return
	}
	logger.V(1).Info("Controller started", "workers", c.options.Workers)
	var workers sync.WaitGroup
	for range c.options.Workers {
		workers.Go(func() {
			for c.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	c.queue.ShutDown()
	workers.Wait()
}

// recheck is how often a held key looks at the cache by itself. Events release keys at once; this is for the one case without
// an event: an object created and deleted while the watch was broken, where only a bookmark tells that the cache is past it.
const recheck = time.Second

func (c *Controller) next(ctx context.Context) bool {
	key, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.queue.Done(key)
	if ctx.Err() != nil {
		return true
	}
	if err := c.resolve(ctx, key); err != nil {
		logRetry(ctx, key, err)
		c.queue.AddRateLimited(key)
		return true
	}
	if c.gate.held(key) {
		c.queue.AddAfter(key, recheck)
		return true
	}
	result, err := c.reconciler.Reconcile(ctx, key)
	switch {
	case err == nil:
		c.queue.Forget(key)
		if result.RequeueAfter > 0 {
			c.queue.AddAfter(key, result.RequeueAfter)
		}
	case ctx.Err() != nil:
		// Shutdown: the error is a consequence of it and the key is lost with the process.
	case c.options.MaxRetries > 0 && c.queue.NumRequeues(key) >= c.options.MaxRetries:
		klog.FromContext(ctx).Error(err, "Reconciliation given up until the next event", "key", key.String())
		c.queue.Forget(key)
	default:
		logRetry(ctx, key, err)
		c.queue.AddRateLimited(key)
	}
	return true
}

func logRetry(ctx context.Context, key Key, err error) {
	if IsRoutine(err) {
		klog.FromContext(ctx).V(4).Info("Reconciliation repeated", "key", key.String(), "reason", err.Error())
		return
	}
	klog.FromContext(ctx).Error(err, "Reconciliation failed, will be repeated", "key", key.String())
}

// ObjectKey returns the key of obj itself, as a keys function for Watch; it ignores objects without metadata.
func ObjectKey(obj any) []Key {
	name, err := cache.DeletionHandlingObjectToName(obj)
	if err != nil {
		return nil
	}
	return []Key{{Namespace: name.Namespace, Name: name.Name}}
}

// KeyOf returns the key of an object with metadata.
func KeyOf(obj interface {
	GetNamespace() string
	GetName() string
}) Key {
	return Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}
