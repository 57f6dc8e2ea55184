package attachdetach

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/reconcile"
)

// apply carries a plan out. A volume that is to be detached disappears from the node's status first: from then on no kubelet may take
// it as attached. Whether it is in use is believed only of a node that shows so much: the cache may lag behind a kubelet that has just
// begun to use it.
func (c *Controller) apply(ctx context.Context, s Situation, plan Plan) error {
	key := reconcile.Key{Name: s.Name}
	var errs []error
	for _, a := range plan.Attach {
		errs = append(errs, c.attach(ctx, key, a))
	}
	told, err := c.report(ctx, s.Node, plan.Attached)
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("volumes attached to node %s: %w", s.Name, err))...)
	}
	if told && len(plan.Detach) > 0 {
		c.Enqueue(key) // held until the cache has what was written
		return errors.Join(errs...)
	}
	for _, a := range plan.Detach {
		err := c.client.StorageV1().VolumeAttachments().Delete(ctx, a.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(a.UID))})
		if err == nil {
			klog.FromContext(ctx).V(2).Info("Detaching", "volume", *a.Spec.Source.PersistentVolumeName, "node", s.Name)
			c.Deleted(c.attachments, key, a)
		}
		errs = append(errs, reconcile.IgnoreNotFound(err))
	}
	return errors.Join(errs...)
}

// attach makes the attachment. Another node may be after the same volume: the first one reserves it.
func (c *Controller) attach(ctx context.Context, key reconcile.Key, a *storagev1.VolumeAttachment) error {
	volume := *a.Spec.Source.PersistentVolumeName
	if pv, err := c.volumes.Get(volume); err != nil || exclusive(pv) && !c.reserve(volume, key.Name) {
		return nil // the other node's attachment will bring this one back
	}
	made, err := c.client.StorageV1().VolumeAttachments().Create(ctx, a, metav1.CreateOptions{})
	if err != nil {
		c.release(volume)
		if apierrors.IsAlreadyExists(err) {
			return nil // on its way to the cache
		}
		return fmt.Errorf("attaching volume %s: %w", volume, err)
	}
	klog.FromContext(ctx).V(2).Info("Attaching", "volume", volume, "node", key.Name)
	c.Wrote(c.attachments, key, made)
	return nil
}

func (c *Controller) reserve(volume, node string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.placed[volume]; other != "" && other != node {
		return false
	}
	c.placed[volume] = node
	return true
}

func (c *Controller) release(volume string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.placed, volume)
}

// csiPrefix begins the names of this controller's volumes in a node's status.
const csiPrefix = "kubernetes.io/csi/"

func ours(name v1.UniqueVolumeName) bool { return strings.HasPrefix(string(name), csiPrefix) }

// report writes the node's status where it differs, and tells whether it did.
func (c *Controller) report(ctx context.Context, node *v1.Node, attached []v1.AttachedVolume) (told bool, err error) {
	if node == nil || node.Annotations[managed] != "true" {
		return false, nil
	}
	byName := func(a, b v1.AttachedVolume) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(attached, byName)
	// Volumes of other kinds are another's to report.
	have := slices.DeleteFunc(slices.Clone(node.Status.VolumesAttached), func(v v1.AttachedVolume) bool { return !ours(v.Name) })
	slices.SortFunc(have, byName)
	if slices.Equal(have, attached) {
		return false, nil
	}
	list := slices.DeleteFunc(slices.Clone(node.Status.VolumesAttached), func(v v1.AttachedVolume) bool { return ours(v.Name) })
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": node.UID}, "status": map[string]any{"volumesAttached": append(list, attached...)}})
	if err != nil {
		return false, err
	}
	written, err := c.client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return false, reconcile.IgnoreNotFound(err)
	}
	c.Wrote(c.nodeInf, reconcile.KeyOf(node), written)
	return true, nil
}
