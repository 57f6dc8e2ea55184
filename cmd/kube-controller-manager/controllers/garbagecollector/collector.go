package garbagecollector

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"

	"pilotis.dev/pkg/reconcile"
)

// Collector is the controller.
type Collector struct {
	metadata  metadata.Interface
	discovery discovery.DiscoveryInterface
	mapper    meta.ResettableRESTMapper
	recorder  record.EventRecorder
	graph     *graph
	queue     *reconcile.Controller

	mu       sync.Mutex
	monitors map[schema.GroupVersionResource]*monitor
}

// New returns a collector that watches nothing yet.
func New(m metadata.Interface, d discovery.DiscoveryInterface, mapper meta.ResettableRESTMapper, recorder record.EventRecorder, workers int) *Collector {
	c := &Collector{metadata: m, discovery: d, mapper: mapper, recorder: recorder, graph: newGraph(), monitors: map[schema.GroupVersionResource]*monitor{}}
	c.queue = reconcile.New("garbage_collector", reconcile.Func(c.reconcile), reconcile.Options{Workers: workers, MaxDelay: 30 * time.Second})
	return c
}

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	go c.watchKinds(ctx)
	c.queue.Run(ctx)
}

// reconcile looks at one object: as one that waits for its dependents, and as a dependent of its owners.
func (c *Collector) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	n := c.graph.get(types.UID(key.Name))
	if n == nil {
		return reconcile.Result{}, nil
	}
	dependents := c.graph.dependentsOf(n.UID)
	switch {
	case n.orphans():
		return reconcile.Result{}, c.orphan(ctx, n, dependents)
	case n.foreground():
		return c.finishForeground(ctx, n, dependents)
	}
	if len(n.Owners) == 0 {
		return reconcile.Result{}, nil
	}
	// What the informers show may be old or not there yet: before anything is deleted, the server is asked.
	owners, certain, err := c.standings(ctx, n)
	if err != nil || !certain {
		return reconcile.Result{}, err
	}
	plan := decide(n, owners, len(dependents) > 0)
	if len(plan.Misplaced) > 0 {
		c.warn(n, plan.Misplaced)
	}
	return reconcile.Result{}, c.carryOut(ctx, n, plan)
}

// standings finds out about each owner. certain is false when all that could be found out is that nothing is amiss.
func (c *Collector) standings(ctx context.Context, n *node) ([]owner, bool, error) {
	var out []owner
	allKnownSolid := true
	for _, r := range n.Owners {
		o := owner{Reference: r, Standing: solid}
		if known := c.graph.get(r.UID); known == nil || known.foreground() || (known.Namespace != "" && known.Namespace != n.Namespace) {
			allKnownSolid = false
		}
		out = append(out, o)
	}
	if allKnownSolid {
		return nil, false, nil
	}
	for i := range out {
		standing, err := c.ask(ctx, n, out[i].Reference)
		if err != nil {
			return nil, false, err
		}
		out[i].Standing = standing
	}
	return out, true, nil
}

// ask gets the owner from the server.
func (c *Collector) ask(ctx context.Context, n *node, r metav1.OwnerReference) (standing, error) {
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		return unresolvable, nil
	}
	mapping, err := c.mapper.RESTMapping(gv.WithKind(r.Kind).GroupKind(), gv.Version)
	if meta.IsNoMatchError(err) {
		return unresolvable, nil
	}
	if err != nil {
		return unresolvable, err
	}
	namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace
	if namespaced && n.Namespace == "" {
		return misplaced, nil
	}
	namespace := ""
	if namespaced {
		namespace = n.Namespace
	}
	live, err := c.metadata.Resource(mapping.Resource).Namespace(namespace).Get(ctx, r.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || (err == nil && live.UID != r.UID):
		if known := c.graph.get(r.UID); known != nil && known.Namespace != "" && known.Namespace != n.Namespace {
			return misplaced, nil
		}
		return absent, nil
	case err != nil:
		return unresolvable, err
	case live.DeletionTimestamp != nil && slices.Contains(live.Finalizers, metav1.FinalizerDeleteDependents):
		return waiting, nil
	}
	return solid, nil
}

// carryOut does what the plan says, if the object is still the one that it was made for.
func (c *Collector) carryOut(ctx context.Context, n *node, p Plan) error {
	client := c.metadata.Resource(n.Resource).Namespace(n.Namespace)
	var policy metav1.DeletionPropagation
	switch p.Action {
	case nothing:
		return nil
	case dropReferences:
		return c.drop(ctx, n, p.Drop)
	case deleteForeground:
		policy = metav1.DeletePropagationForeground
	case deleteOrphaning:
		policy = metav1.DeletePropagationOrphan
	default:
		policy = metav1.DeletePropagationBackground
	}
	live, err := client.Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil || live.UID != n.UID {
		return ignoreNotFound(err)
	}
	if !slices.EqualFunc(live.OwnerReferences, n.Owners, func(a, b metav1.OwnerReference) bool { return a.UID == b.UID }) {
		return nil // it was adopted or released meanwhile; its event wakes this again
	}
	options := metav1.DeleteOptions{PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{UID: &n.UID, ResourceVersion: &live.ResourceVersion}}
	err = client.Delete(ctx, n.Name, options)
	if apierrors.IsConflict(err) {
		return fmt.Errorf("%s %s/%s changed while it was looked at: %w", n.Resource.Resource, n.Namespace, n.Name, err)
	}
	return ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// drop takes owner references away.
func (c *Collector) drop(ctx context.Context, n *node, drop []metav1.OwnerReference) error {
	client := c.metadata.Resource(n.Resource).Namespace(n.Namespace)
	live, err := client.Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil || live.UID != n.UID {
		return ignoreNotFound(err)
	}
	kept := slices.DeleteFunc(slices.Clone(live.OwnerReferences), func(r metav1.OwnerReference) bool {
		return slices.ContainsFunc(drop, func(d metav1.OwnerReference) bool { return d.UID == r.UID })
	})
	if len(kept) == len(live.OwnerReferences) {
		return nil
	}
	return c.patch(ctx, n, live.ResourceVersion, map[string]any{"ownerReferences": kept})
}

func (c *Collector) patch(ctx context.Context, n *node, version string, metadata map[string]any) error {
	metadata["uid"], metadata["resourceVersion"] = n.UID, version
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	_, err = c.metadata.Resource(n.Resource).Namespace(n.Namespace).Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return ignoreNotFound(err)
}

// orphan lets the dependents go and then the object.
func (c *Collector) orphan(ctx context.Context, n *node, dependents []*node) error {
	reference := []metav1.OwnerReference{{UID: n.UID}}
	for _, d := range dependents {
		if err := c.drop(ctx, d, reference); err != nil {
			return err
		}
	}
	return c.removeFinalizer(ctx, n, metav1.FinalizerOrphanDependents)
}

// finishForeground deletes the dependents and lets the object go when none that blocks it is left.
func (c *Collector) finishForeground(ctx context.Context, n *node, dependents []*node) (reconcile.Result, error) {
	blocking := 0
	for _, d := range dependents {
		c.queue.Enqueue(reconcile.Key{Name: string(d.UID)})
		for _, r := range d.Owners {
			if r.UID == n.UID && r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion {
				blocking++
			}
		}
	}
	if blocking > 0 {
		return reconcile.Result{}, nil // their end wakes this again
	}
	return reconcile.Result{}, c.removeFinalizer(ctx, n, metav1.FinalizerDeleteDependents)
}

func (c *Collector) removeFinalizer(ctx context.Context, n *node, finalizer string) error {
	live, err := c.metadata.Resource(n.Resource).Namespace(n.Namespace).Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil || live.UID != n.UID {
		return ignoreNotFound(err)
	}
	kept := slices.DeleteFunc(slices.Clone(live.Finalizers), func(f string) bool { return f == finalizer })
	if len(kept) == len(live.Finalizers) {
		return nil
	}
	if len(kept) == 0 {
		kept = nil
	}
	return c.patch(ctx, n, live.ResourceVersion, map[string]any{"finalizers": kept})
}

// warn tells users of owners that cannot be owners.
func (c *Collector) warn(n *node, owners []metav1.OwnerReference) {
	for _, o := range owners {
		c.recorder.Eventf(&v1.ObjectReference{APIVersion: n.Kind.GroupVersion().String(), Kind: n.Kind.Kind, Namespace: n.Namespace, Name: n.Name, UID: n.UID}, v1.EventTypeWarning,
			"OwnerRefInvalidNamespace", "ownerRef [%s/%s, name: %s, uid: %s] does not exist in namespace %q", o.APIVersion, o.Kind, o.Name, o.UID, n.Namespace)
	}
}
