// Package nodeipam gives every node its range of pod addresses.
package nodeipam

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"sync"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"pilotis.dev/pkg/reconcile"
)

// Range is a cluster CIDR and the prefix length of a node's part of it.
type Range struct {
	CIDR     netip.Prefix
	NodeBits int
}

// New gives each node without spec.podCIDRs a free part of every range, none of which overlaps the reserved prefixes
// (Services).
func New(ranges []Range, reserved []netip.Prefix, nodes coreinformers.NodeInformer, client kubernetes.Interface, recorder record.EventRecorder) (*reconcile.Controller, error) {
	for _, r := range ranges {
		if r.NodeBits < r.CIDR.Bits() || r.NodeBits > r.CIDR.Addr().BitLen() {
			return nil, fmt.Errorf("--node-cidr-mask-size=%d does not divide --cluster-cidr %s: it must be between %d and %d", r.NodeBits, r.CIDR, r.CIDR.Bits(), r.CIDR.Addr().BitLen())
		}
	}
	a := &allocator{ranges: ranges, reserved: reserved, nodes: nodes, given: map[netip.Prefix]string{}}
	c := reconcile.New("noderesource", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		node, err := nodes.Lister().Get(key.Name)
		if err != nil {
			a.release(key.Name)
			return reconcile.Result{}, nil
		}
		if len(node.Spec.PodCIDRs) > 0 || node.Spec.PodCIDR != "" {
			return reconcile.Result{}, nil
		}
		parts, err := a.take(node.Name)
		if err != nil {
			recorder.Eventf(node, v1.EventTypeNormal, "CIDRNotAvailable", "Node %s status is now: CIDRNotAvailable", node.Name)
			return reconcile.Result{}, fmt.Errorf("node %s: %w", node.Name, err)
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": node.UID}, "spec": map[string]any{"podCIDR": parts[0], "podCIDRs": parts}})
		if err != nil {
			return reconcile.Result{}, err
		}
		_, err = client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		return reconcile.Result{}, err
	}), reconcile.Options{})
	c.Watch(nodes.Informer(), func(obj any) []reconcile.Key {
		if n, ok := obj.(*v1.Node); ok {
			return []reconcile.Key{{Name: n.Name}}
		}
		return nil
	})
	return c, nil
}

// allocator finds free parts. What the cache shows and what was given and is not in the cache yet are both taken.
type allocator struct {
	ranges   []Range
	reserved []netip.Prefix
	nodes    coreinformers.NodeInformer

	mu    sync.Mutex
	given map[netip.Prefix]string
}

func (a *allocator) release(node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, owner := range a.given {
		if owner == node {
			delete(a.given, p)
		}
	}
}

// take gives the node a part of each range: those that it was given before, or the first free ones.
func (a *allocator) take(node string) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, err := a.nodes.Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	taken := append([]netip.Prefix{}, a.reserved...)
	for _, n := range all {
		for _, c := range n.Spec.PodCIDRs {
			if p, err := netip.ParsePrefix(c); err == nil {
				taken = append(taken, p)
			}
		}
	}
	var mine []string
	for _, r := range a.ranges {
		part, ok := a.previous(r, node)
		if !ok {
			if part, ok = a.free(r, taken); !ok {
				return nil, fmt.Errorf("no range of %d bits is free in %s", r.NodeBits, r.CIDR)
			}
			a.given[part] = node
		}
		mine = append(mine, part.String())
	}
	return mine, nil
}

func (a *allocator) previous(r Range, node string) (netip.Prefix, bool) {
	for p, owner := range a.given {
		if owner == node && r.CIDR.Contains(p.Addr()) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func (a *allocator) free(r Range, taken []netip.Prefix) (netip.Prefix, bool) {
next:
	for part := netip.PrefixFrom(r.CIDR.Masked().Addr(), r.NodeBits); r.CIDR.Contains(part.Addr()); {
		candidate := part
		following, ok := after(part)
		if _, given := a.given[candidate]; !given {
			clash := false
			for _, t := range taken {
				clash = clash || t.Overlaps(candidate)
			}
			if !clash {
				return candidate, true
			}
		}
		if !ok {
			break next
		}
		part = following
	}
	return netip.Prefix{}, false
}

// after is the prefix of the same length that follows p; false at the end of the address space.
func after(p netip.Prefix) (netip.Prefix, bool) {
	bits := p.Addr().BitLen()
	n := new(big.Int).SetBytes(p.Addr().AsSlice())
	n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(bits-p.Bits())))
	if n.BitLen() > bits {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.FillBytes(make([]byte, bits/8)))
	return netip.PrefixFrom(addr, p.Bits()), ok
}
