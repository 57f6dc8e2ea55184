// Package garbagecollector deletes objects whose owners are gone, and carries out foreground deletion and orphaning
// (https://kubernetes.io/docs/concepts/architecture/garbage-collection/).
//
// The graph of owners is kept from metadata informers of all kinds. It tells where to look; it never is the reason for a
// deletion: before an object is deleted, each of its owners was asked for at the server, and the deletion is refused there
// if the object is no longer the one that was judged. A cold or late cache therefore deletes nothing that lives.
package garbagecollector

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/lru"

	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
	"pilotis.dev/pkg/reconcile"
)

// patience is how long a kind whose objects cannot be listed holds up orphaning and foreground deletion of all others.
const patience = 30 * time.Second

// Collector is the controller. Its keys are UIDs.
type Collector struct {
	metadata metadata.Interface
	kinds    *kinds.Watcher
	mapper   meta.ResettableRESTMapper
	recorder record.EventRecorder
	graph    *graph
	queue    *reconcile.Controller
	// absent remembers owners that were found not to exist; a UID never comes back.
	absent *lru.Cache

	mu sync.Mutex
	// unresolved are objects with an owner whose kind is unknown; they are looked at again when kinds change.
	unresolved map[types.UID]struct{}
}

// New returns a collector over the kinds of w, which must not run yet.
func New(m metadata.Interface, w *kinds.Watcher, mapper meta.ResettableRESTMapper, recorder record.EventRecorder, workers int) *Collector {
	c := &Collector{
		metadata: m, kinds: w, mapper: mapper, recorder: recorder, graph: newGraph(), absent: lru.New(2000),
		unresolved: map[types.UID]struct{}{},
	}
	c.queue = reconcile.New("garbage_collector", reconcile.Func(c.reconcile), reconcile.Options{Workers: workers, MaxDelay: 30 * time.Second})
	w.Subscribe(kinds.Handler{
		Changed: func(k kinds.Kind, old, o metav1.Object) {
			if old == nil || old.GetUID() == o.GetUID() {
				c.look(c.graph.set(newNode(k, o)))
				return
			}
			// Deleted and created again under one name, seen as an update.
			c.gone(k, old.GetUID())
			c.look(c.graph.set(newNode(k, o)))
		},
		Gone:  func(k kinds.Kind, o metav1.Object) { c.gone(k, o.GetUID()) },
		Kinds: c.kindsChanged,
	})
	return c
}

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) { c.queue.Run(ctx) }

func (c *Collector) look(uids []types.UID) {
	for _, uid := range uids {
		c.queue.Enqueue(reconcile.Key{Name: string(uid)})
	}
}

func (c *Collector) gone(k kinds.Kind, uid types.UID) {
	affected, removed := c.graph.remove(k, uid)
	if removed {
		c.mu.Lock()
		delete(c.unresolved, uid)
		c.mu.Unlock()
	}
	c.look(affected)
}

func (c *Collector) kindsChanged() {
	c.mapper.Reset()
	c.mu.Lock()
	again := c.unresolved
	c.unresolved = map[types.UID]struct{}{}
	c.mu.Unlock()
	for uid := range again {
		c.queue.Enqueue(reconcile.Key{Name: string(uid)})
	}
}

// reconcile looks at one object: as one that waits for its dependents, and as a dependent of its owners.
func (c *Collector) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	n := c.graph.get(types.UID(key.Name))
	if n == nil {
		return reconcile.Result{}, nil
	}
	dependents := c.graph.dependentsOf(n.UID)
	if n.orphans() || n.foreground() {
		if !c.kinds.Settled(patience) {
			return reconcile.Result{RequeueAfter: 200 * time.Millisecond}, nil // not all dependents are known yet
		}
		if n.orphans() {
			return reconcile.Result{}, c.orphan(ctx, n, dependents)
		}
		return reconcile.Result{}, c.advance(ctx, n, dependents)
	}
	if n.Deleting || len(n.Owners) == 0 || c.allPresent(n) {
		return reconcile.Result{}, nil
	}
	owners, err := c.standings(ctx, n)
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := decide(n, owners, dependents)
	if plan.Action != nothing {
		klog.FromContext(ctx).V(2).Info("Garbage", "resource", n.Kind.GroupResource().String(), "object", klog.KRef(n.Namespace, n.Name), "plan", plan.String())
	}
	return reconcile.Result{}, c.carryOut(ctx, n, plan)
}

// orphan lets the dependents go and then the object.
func (c *Collector) orphan(ctx context.Context, n *node, dependents []*node) error {
	_, err := reconcile.Parallel(ctx, len(dependents), func(ctx context.Context, i int) error {
		return c.drop(ctx, dependents[i], []metav1.OwnerReference{{UID: n.UID}})
	})
	if err != nil {
		return err
	}
	return c.removeFinalizer(ctx, n, metav1.FinalizerOrphanDependents)
}

// advance lets an object in foreground deletion go when no dependent that blocks it is left, and else sees to those.
func (c *Collector) advance(ctx context.Context, n *node, dependents []*node) error {
	for _, d := range dependents {
		if !d.Deleting {
			c.queue.Enqueue(reconcile.Key{Name: string(d.UID)})
		}
	}
	if len(blockers(n, dependents)) > 0 {
		return nil // their end wakes this again
	}
	return c.removeFinalizer(ctx, n, metav1.FinalizerDeleteDependents)
}
