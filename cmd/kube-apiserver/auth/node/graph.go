package node

import (
	"sync"
)

// kind is a kind of object whose reading is confined.
type kind uint8

const (
	podKind kind = iota
	secretKind
	configMapKind
	claimKind  // PersistentVolumeClaim
	volumeKind // PersistentVolume
	serviceAccountKind
	resourceClaimKind
	attachmentKind
	certificateRequestKind
	sliceKind
)

// key names an object.
type key struct {
	kind            kind
	namespace, name string
}

// Graph knows which node each pod is on, what the pods refer to and what these objects refer to in turn:
// pod → Secret, ConfigMap, claim, service account, resource claim; claim → volume → Secret.
//
// References of pods are counted by object and node, so that a question needs no walk.
type Graph struct {
	mu sync.RWMutex
	// pods: what each pod added, for its removal.
	pods map[key]podEdges
	// users counts, for each object, the pods of each node that refer to it.
	users map[key]map[string]int
	// volumes: what each PersistentVolume is bound to and refers to.
	volumes map[key]volumeEdges
	// holders: the volumes that refer to an object (the claim bound to it is in volumes).
	holders map[key]map[key]bool
	// owned objects belong to one node by their own spec.
	owned map[key]string
}

type podEdges struct {
	node string
	refs []key
}

type volumeEdges struct {
	claim   key
	secrets []key
}

// NewGraph returns an empty graph.
func NewGraph() *Graph {
	return &Graph{
		pods: map[key]podEdges{}, users: map[key]map[string]int{},
		volumes: map[key]volumeEdges{}, holders: map[key]map[key]bool{}, owned: map[key]string{},
	}
}

// setPod replaces what is known of a pod; an empty node removes it.
func (g *Graph) setPod(pod key, node string, refs []key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old, ok := g.pods[pod]; ok {
		if old.node == node && equalKeys(old.refs, refs) {
			return
		}
		for _, r := range old.refs {
			nodes := g.users[r]
			if nodes[old.node]--; nodes[old.node] == 0 {
				delete(nodes, old.node)
			}
			if len(nodes) == 0 {
				delete(g.users, r)
			}
		}
		delete(g.pods, pod)
	}
	if node == "" {
		return
	}
	g.pods[pod] = podEdges{node: node, refs: refs}
	for _, r := range refs {
		nodes := g.users[r]
		if nodes == nil {
			nodes = make(map[string]int, 1)
			g.users[r] = nodes
		}
		nodes[node]++
	}
}

// setVolume replaces what is known of a PersistentVolume; an empty claim name removes it.
func (g *Graph) setVolume(volume, claim key, secrets []key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old, ok := g.volumes[volume]; ok {
		for _, s := range old.secrets {
			delete(g.holders[s], volume)
			if len(g.holders[s]) == 0 {
				delete(g.holders, s)
			}
		}
		delete(g.volumes, volume)
	}
	if claim.name == "" {
		return
	}
	g.volumes[volume] = volumeEdges{claim: claim, secrets: secrets}
	for _, s := range secrets {
		if g.holders[s] == nil {
			g.holders[s] = map[key]bool{}
		}
		g.holders[s][volume] = true
	}
}

// setOwned says which node an object belongs to; an empty node removes it.
func (g *Graph) setOwned(obj key, node string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if node == "" {
		delete(g.owned, obj)
		return
	}
	g.owned[obj] = node
}

// reaches reports whether an object concerns a node.
func (g *Graph) reaches(node string, obj key) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	switch obj.kind {
	case podKind:
		return g.pods[obj].node == node
	case attachmentKind, certificateRequestKind, sliceKind:
		return g.owned[obj] == node
	case volumeKind:
		v, ok := g.volumes[obj]
		return ok && g.users[v.claim][node] > 0
	}
	if g.users[obj][node] > 0 {
		return true
	}
	for v := range g.holders[obj] {
		if g.users[g.volumes[v].claim][node] > 0 {
			return true
		}
	}
	return false
}

func equalKeys(a, b []key) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
