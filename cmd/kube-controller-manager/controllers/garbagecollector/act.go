package garbagecollector

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"pilotis.dev/pkg/reconcile"
)

func (c *Collector) client(n *node) metadata.ResourceInterface {
	return c.metadata.Resource(n.Kind.GroupVersionResource).Namespace(n.Namespace)
}

// carryOut does what the plan says, if the object is still the one that it was made for.
func (c *Collector) carryOut(ctx context.Context, n *node, p Plan) error {
	policies := map[Action]metav1.DeletionPropagation{
		deleteBackground: metav1.DeletePropagationBackground, deleteForeground: metav1.DeletePropagationForeground, deleteOrphaning: metav1.DeletePropagationOrphan,
	}
	switch p.Action {
	case nothing:
		return nil
	case dropReferences:
		return c.drop(ctx, n, p.Drop)
	}
	if p.Unblock {
		if err := c.unblock(ctx, n); err != nil {
			return err
		}
	}
	return c.delete(ctx, n, policies[p.Action])
}

// delete deletes the object if its owners are those that were judged. The first try takes for granted that it is just as the
// cache shows it; where that is not so, the object is read.
func (c *Collector) delete(ctx context.Context, n *node, policy metav1.DeletionPropagation) error {
	options := metav1.DeleteOptions{PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{UID: &n.UID, ResourceVersion: &n.Version}}
	err := c.client(n).Delete(ctx, n.Name, options)
	if !apierrors.IsConflict(err) {
		return reconcile.IgnoreNotFound(err)
	}
	live, err := c.live(ctx, n)
	if live == nil || err != nil {
		return err
	}
	if !slices.EqualFunc(live.OwnerReferences, n.Owners, func(a, b metav1.OwnerReference) bool { return a.UID == b.UID && a.Name == b.Name }) {
		return nil // adopted or let go meanwhile; that event wakes this again
	}
	options.Preconditions.ResourceVersion = &live.ResourceVersion
	if err := c.client(n).Delete(ctx, n.Name, options); err != nil {
		return reconcile.IgnoreNotFound(c.changed(n, err))
	}
	return nil
}

// changed says of a conflict which object it was about.
func (c *Collector) changed(n *node, err error) error {
	if apierrors.IsConflict(err) {
		return fmt.Errorf("%s %s/%s changes faster than it is looked at: %w", n.Kind.Resource, n.Namespace, n.Name, err)
	}
	return err
}

// live is the object at the server; nil when it is gone, or another one has its name.
func (c *Collector) live(ctx context.Context, n *node) (*metav1.PartialObjectMetadata, error) {
	o, err := c.client(n).Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil || o.UID != n.UID {
		return nil, reconcile.IgnoreNotFound(err)
	}
	return o, nil
}

// drop takes owner references away.
func (c *Collector) drop(ctx context.Context, n *node, drop []metav1.OwnerReference) error {
	return c.edit(ctx, n, "ownerReferences", func(owners []metav1.OwnerReference, _ []string) (any, bool) {
		kept := slices.DeleteFunc(slices.Clone(owners), func(r metav1.OwnerReference) bool {
			return slices.ContainsFunc(drop, func(d metav1.OwnerReference) bool { return d.UID == r.UID && (d.Name == "" || d.Name == r.Name) })
		})
		return kept, len(kept) != len(owners)
	})
}

// unblock lets the owners of an object go before it.
func (c *Collector) unblock(ctx context.Context, n *node) error {
	return c.edit(ctx, n, "ownerReferences", func(owners []metav1.OwnerReference, _ []string) (any, bool) {
		free, changed := slices.Clone(owners), false
		for i := range free {
			if b := free[i].BlockOwnerDeletion; b != nil && *b {
				no := false
				free[i].BlockOwnerDeletion, changed = &no, true
			}
		}
		return free, changed
	})
}

func (c *Collector) removeFinalizer(ctx context.Context, n *node, finalizer string) error {
	return c.edit(ctx, n, "finalizers", func(_ []metav1.OwnerReference, finalizers []string) (any, bool) {
		kept := slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == finalizer })
		return kept, len(kept) != len(finalizers)
	})
}

// edit patches one list of the object's metadata: first as the cache shows it, and if that was old, as it is.
func (c *Collector) edit(ctx context.Context, n *node, field string, change func([]metav1.OwnerReference, []string) (any, bool)) error {
	owners, finalizers, version := n.Owners, n.Finalizers, n.Version
	for try := 0; ; try++ {
		list, needed := change(owners, finalizers)
		if !needed {
			return nil
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": n.UID, "resourceVersion": version, field: list}})
		if err != nil {
			return err
		}
		_, err = c.client(n).Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if !apierrors.IsConflict(err) || try == 3 {
			return reconcile.IgnoreNotFound(c.changed(n, err))
		}
		live, err := c.live(ctx, n)
		if live == nil || err != nil {
			return err
		}
		owners, finalizers, version = live.OwnerReferences, live.Finalizers, live.ResourceVersion
	}
}
