// Package garbagecollector deletes objects whose owners are gone, and carries out foreground deletion and orphaning.
package garbagecollector

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// node is one object as the informers last showed it.
type node struct {
	UID             types.UID
	Resource        schema.GroupVersionResource
	Kind            schema.GroupVersionKind
	Namespace, Name string
	Owners          []metav1.OwnerReference
	Finalizers      []string
	Deleting        bool
}

func (n *node) has(finalizer string) bool { return slices.Contains(n.Finalizers, finalizer) }

// foreground reports that the object waits for its dependents to go, orphan that it waits for them to be let go.
func (n *node) foreground() bool { return n.Deleting && n.has(metav1.FinalizerDeleteDependents) }
func (n *node) orphans() bool    { return n.Deleting && n.has(metav1.FinalizerOrphanDependents) }

// graph knows objects by UID, and who names whom as owner. It is safe for concurrent use.
type graph struct {
	mu         sync.Mutex
	nodes      map[types.UID]*node
	dependents map[types.UID]map[types.UID]bool // by owner, also of owners that are not known
}

func newGraph() *graph {
	return &graph{nodes: map[types.UID]*node{}, dependents: map[types.UID]map[types.UID]bool{}}
}

// set takes an object's present state and gives the UIDs that it bears upon: itself, its owners, and its dependents
// when it is on its way out.
func (g *graph) set(n *node) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unlink(n.UID)
	g.nodes[n.UID] = n
	affected := []types.UID{n.UID}
	for _, o := range n.Owners {
		if g.dependents[o.UID] == nil {
			g.dependents[o.UID] = map[types.UID]bool{}
		}
		g.dependents[o.UID][n.UID] = true
		affected = append(affected, o.UID)
	}
	if n.foreground() || n.orphans() {
		affected = append(affected, g.dependentsLocked(n.UID)...)
	}
	return affected
}

// remove forgets an object; its dependents and owners are affected.
func (g *graph) remove(uid types.UID) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	affected := g.dependentsLocked(uid)
	if n := g.nodes[uid]; n != nil {
		for _, o := range n.Owners {
			affected = append(affected, o.UID)
		}
	}
	g.unlink(uid)
	delete(g.nodes, uid)
	return affected
}

func (g *graph) unlink(uid types.UID) {
	old := g.nodes[uid]
	if old == nil {
		return
	}
	for _, o := range old.Owners {
		delete(g.dependents[o.UID], uid)
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
	for _, d := range g.dependentsLocked(uid) {
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
