package garbagecollector

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
)

// node is one object as the informers last showed it. Nodes are never changed, only replaced.
type node struct {
	UID             types.UID
	Kind            kinds.Kind
	Namespace, Name string
	Version         string // resourceVersion
	Owners          []metav1.OwnerReference
	Finalizers      []string
	Deleting        bool
}

func newNode(k kinds.Kind, o metav1.Object) *node {
	return &node{
		UID: o.GetUID(), Kind: k, Namespace: o.GetNamespace(), Name: o.GetName(), Version: o.GetResourceVersion(),
		Owners: o.GetOwnerReferences(), Finalizers: o.GetFinalizers(), Deleting: o.GetDeletionTimestamp() != nil,
	}
}

func (n *node) has(finalizer string) bool { return slices.Contains(n.Finalizers, finalizer) }

// foreground: the object waits for its dependents to go. orphans: it waits for them to be let go.
func (n *node) foreground() bool { return n.Deleting && n.has(metav1.FinalizerDeleteDependents) }
func (n *node) orphans() bool    { return n.Deleting && n.has(metav1.FinalizerOrphanDependents) }

// blocks tells whether the object's existence holds up the foreground deletion of owner. An object that owner's scope does not
// let it own blocks nothing: it would never be collected, and owner would never go.
func (n *node) blocks(owner *node) bool {
	if owner.Namespace != "" && owner.Namespace != n.Namespace {
		return false
	}
	return slices.ContainsFunc(n.Owners, func(r metav1.OwnerReference) bool {
		return r.UID == owner.UID && r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion
	})
}

// graph knows objects by UID, and who names whom as owner. It is safe for concurrent use.
type graph struct {
	mu         sync.Mutex
	nodes      map[types.UID]*node
	dependents map[types.UID]map[types.UID]struct{} // by owner, also of owners that are not known
}

func newGraph() *graph {
	return &graph{nodes: map[types.UID]*node{}, dependents: map[types.UID]map[types.UID]struct{}{}}
}

// set takes an object's present state and returns the objects that have to be looked at because of it.
func (g *graph) set(n *node) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.nodes[n.UID]
	g.nodes[n.UID] = n
	if old != nil && old.Deleting == n.Deleting && slices.Equal(old.Finalizers, n.Finalizers) && equality.Semantic.DeepEqual(old.Owners, n.Owners) {
		n.Owners, n.Finalizers = old.Owners, old.Finalizers // one copy, however often it is updated
		return nil
	}
	var affected []types.UID
	if old != nil {
		affected = g.waitingOwners(old)
		g.unlink(old)
	}
	for _, o := range n.Owners {
		if g.dependents[o.UID] == nil {
			g.dependents[o.UID] = map[types.UID]struct{}{}
		}
		g.dependents[o.UID][n.UID] = struct{}{}
	}
	affected = append(affected, g.waitingOwners(n)...)
	if len(n.Owners) > 0 || n.foreground() || n.orphans() {
		affected = append(affected, n.UID)
	}
	if n.foreground() {
		affected = append(affected, g.dependentsLocked(n.UID)...)
	}
	return affected
}

// remove forgets an object and returns those that have to be looked at because it is gone. An object that was seen in
// another version of its kind since is not.
func (g *graph) remove(k kinds.Kind, uid types.UID) (affected []types.UID, removed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[uid]
	if n != nil && n.Kind.GroupVersionResource != k.GroupVersionResource {
		return nil, false
	}
	affected = g.dependentsLocked(uid)
	if n != nil {
		affected = append(affected, g.waitingOwners(n)...)
		g.unlink(n)
	}
	delete(g.nodes, uid)
	return affected, true
}

// waitingOwners are n's owners that wait for their dependents to go.
func (g *graph) waitingOwners(n *node) []types.UID {
	var out []types.UID
	for _, o := range n.Owners {
		if owner := g.nodes[o.UID]; owner != nil && owner.foreground() {
			out = append(out, o.UID)
		}
	}
	return out
}

func (g *graph) unlink(n *node) {
	for _, o := range n.Owners {
		delete(g.dependents[o.UID], n.UID)
		if len(g.dependents[o.UID]) == 0 {
			delete(g.dependents, o.UID)
		}
	}
}

func (g *graph) get(uid types.UID) *node {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nodes[uid]
}

// dependentsOf are the objects that name uid as owner.
func (g *graph) dependentsOf(uid types.UID) []*node {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*node
	for d := range g.dependents[uid] {
		out = append(out, g.nodes[d])
	}
	return out
}

func (g *graph) dependentsLocked(uid types.UID) []types.UID {
	var out []types.UID
	for d := range g.dependents[uid] {
		out = append(out, d)
	}
	return out
}
