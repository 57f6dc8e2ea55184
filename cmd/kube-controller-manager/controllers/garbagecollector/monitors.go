package garbagecollector

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/reconcile"
)

// resync is how often the server is asked for new kinds.
const resync = 10 * time.Second

// monitor is the informer of one kind.
type monitor struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
}

// ignored kinds own nothing and come and go in numbers.
func ignored(r schema.GroupVersionResource) bool {
	return r.Resource == "events" && (r.Group == "" || r.Group == "events.k8s.io")
}

// watchKinds keeps an informer for every kind that can be listed, watched and deleted.
func (c *Collector) watchKinds(ctx context.Context) {
	ticker := time.NewTicker(resync)
	defer ticker.Stop()
	for {
		c.syncKinds(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *Collector) syncKinds(ctx context.Context) {
	lists, err := c.discovery.ServerPreferredResources()
	if err != nil && len(lists) == 0 {
		klog.FromContext(ctx).Info("Kinds cannot be discovered, trying again", "reason", err.Error())
		return
	}
	wanted := map[schema.GroupVersionResource]schema.GroupVersionKind{}
	for _, l := range lists {
		gv, parseErr := schema.ParseGroupVersion(l.GroupVersion)
		if parseErr != nil {
			continue
		}
		for _, r := range l.APIResources {
			gvr := gv.WithResource(r.Name)
			if strings.Contains(r.Name, "/") || ignored(gvr) || !slices.Contains(r.Verbs, "delete") || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "watch") {
				continue
			}
			wanted[gvr] = gv.WithKind(r.Kind)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := false
	for gvr, gvk := range wanted {
		if c.monitors[gvr] == nil {
			c.monitors[gvr] = c.start(ctx, gvr, gvk)
			changed = true
		}
	}
	for gvr, m := range c.monitors {
		if _, stays := wanted[gvr]; !stays && err == nil { // with a partial answer nothing is concluded
			m.stop()
			delete(c.monitors, gvr)
			changed = true
		}
	}
	if changed {
		c.mapper.Reset()
	}
}

func (c *Collector) start(ctx context.Context, gvr schema.GroupVersionResource, gvk schema.GroupVersionKind) *monitor {
	ctx, cancel := context.WithCancel(ctx)
	informer := metadatainformer.NewFilteredMetadataInformer(c.metadata, gvr, "", 0, cache.Indexers{}, nil).Informer()
	set := func(obj any) {
		o, err := meta.Accessor(obj)
		if err != nil {
			return
		}
		c.changed(c.graph.set(&node{
			UID: o.GetUID(), Resource: gvr, Kind: gvk, Namespace: o.GetNamespace(), Name: o.GetName(), Owners: o.GetOwnerReferences(),
			Finalizers: o.GetFinalizers(), Deleting: o.GetDeletionTimestamp() != nil,
		}))
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if o, err := meta.Accessor(reconcile.Unwrap(obj)); err == nil {
				c.changed(c.graph.remove(o.GetUID()))
			}
		},
	})
	if err != nil {
		klog.FromContext(ctx).Error(err, "A kind cannot be watched", "resource", gvr)
	}
	go informer.RunWithContext(ctx)
	return &monitor{informer: informer, stop: cancel}
}

func (c *Collector) changed(uids []types.UID) {
	for _, uid := range uids {
		c.queue.Enqueue(reconcile.Key{Name: string(uid)})
	}
}
