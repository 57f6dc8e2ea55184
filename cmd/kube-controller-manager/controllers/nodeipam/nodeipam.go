// Package nodeipam gives every node its range of pod addresses.
package nodeipam

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"pilotis.dev/pkg/reconcile"
)

const workers = 10

type controller struct {
	nodes    coreinformers.NodeInformer
	client   kubernetes.Interface
	recorder record.EventRecorder
	loop     *reconcile.Controller

	mu    sync.Mutex
	pools []*pool
	// held are the ranges of each node: those that its spec shows, or those it was given and that are still to be shown.
	held map[string][]netip.Prefix
	// waiting are nodes for which nothing was free.
	waiting map[string]bool
}

// New gives each node without spec.podCIDRs a free part of every range, none of which overlaps the reserved prefixes (Services) or
// what another node has.
func New(ranges []Range, reserved []netip.Prefix, nodes coreinformers.NodeInformer, client kubernetes.Interface, recorder record.EventRecorder) (*reconcile.Controller, error) {
	c := &controller{nodes: nodes, client: client, recorder: recorder, held: map[string][]netip.Prefix{}, waiting: map[string]bool{}}
	for _, r := range ranges {
		p, err := newPool(r)
		if err != nil {
			return nil, err
		}
		for _, prefix := range reserved {
			p.occupy(prefix)
		}
		c.pools = append(c.pools, p)
	}
	c.loop = reconcile.New("noderesource", reconcile.Func(c.reconcile), reconcile.Options{Workers: workers})
	// The ranges of a node are noted as the event comes: the loop starts when all nodes have come by, so none of theirs is given away.
	c.loop.Watch(nodes.Informer(), func(obj any) []reconcile.Key {
		n, ok := obj.(*v1.Node)
		if !ok {
			return nil
		}
		if shown := podRanges(n); len(shown) > 0 {
			c.hold(n.Name, shown)
		}
		return []reconcile.Key{{Name: n.Name}}
	})
	return c.loop, nil
}

func podRanges(n *v1.Node) []netip.Prefix {
	texts := n.Spec.PodCIDRs
	if len(texts) == 0 && n.Spec.PodCIDR != "" {
		texts = []string{n.Spec.PodCIDR}
	}
	var out []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	node, err := c.nodes.Lister().Get(key.Name)
	if apierrors.IsNotFound(err) {
		c.hold(key.Name, nil)
		return reconcile.Result{}, nil
	}
	if err != nil || len(node.Spec.PodCIDRs) > 0 || node.Spec.PodCIDR != "" {
		return reconcile.Result{}, err
	}
	parts, err := c.take(node.Name)
	if err != nil {
		c.recorder.Eventf(node, v1.EventTypeNormal, "CIDRNotAvailable", "Node %s status is now: CIDRNotAvailable", node.Name)
		return reconcile.Result{}, fmt.Errorf("node %s: %w", node.Name, err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": node.UID}, "spec": map[string]any{"podCIDR": parts[0], "podCIDRs": parts}})
	if err != nil {
		return reconcile.Result{}, err
	}
	written, err := c.client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	c.loop.Wrote(c.nodes.Informer(), key, written)
	return reconcile.Result{}, nil
}

// hold notes what a node has now. What it had besides is free again, and nodes that wait are looked at once more.
func (c *controller) hold(node string, now []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.held[node]
	freed := false
	for _, p := range c.pools {
		for _, prefix := range now {
			if !slices.Contains(before, prefix) {
				p.occupy(prefix)
			}
		}
		for _, prefix := range before {
			if !slices.Contains(now, prefix) {
				p.release(prefix)
				freed = true
			}
		}
	}
	c.held[node] = now
	delete(c.waiting, node)
	if len(now) == 0 {
		delete(c.held, node)
	}
	if freed {
		for name := range c.waiting {
			c.loop.Enqueue(reconcile.Key{Name: name})
		}
	}
}

// take gives the node a part of each range: that which it was given before, or a free one.
func (c *controller) take(node string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, p := range c.pools {
		i := slices.IndexFunc(c.held[node], func(have netip.Prefix) bool { return p.CIDR.Overlaps(have) })
		if i < 0 {
			part, ok := p.take()
			if !ok {
				c.waiting[node] = true
				return nil, fmt.Errorf("no range of %d bits is free in --cluster-cidr %s: delete nodes that are gone, or give the cluster a wider range", p.NodeBits, p.CIDR)
			}
			c.held[node] = append(c.held[node], part)
			i = len(c.held[node]) - 1
		}
		parts = append(parts, c.held[node][i].String())
	}
	delete(c.waiting, node)
	return parts, nil
}
