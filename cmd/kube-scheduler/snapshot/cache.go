package snapshot

import (
	"maps"
	"slices"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Cache is the present state as the watches and the scheduler's own bindings tell it. A pod that was decided upon is
// assumed: it counts on its node at once, until the watch confirms it or Forget takes it back.
type Cache struct {
	mu      sync.Mutex
	nodes   map[string]*entry
	pods    map[types.UID]placed
	changed map[string]bool // names of nodes that differ from the last snapshot
	last    *Snapshot
}

type entry struct {
	node *Node
	// known is false while pods name a node whose Node object is not there (yet, or any more).
	known bool
}

type placed struct {
	pod     *Pod
	node    string
	assumed bool
}

// NewCache is empty.
func NewCache() *Cache {
	return &Cache{nodes: map[string]*entry{}, pods: map[types.UID]placed{}, changed: map[string]bool{}, last: newSnapshot(nil)}
}

func (c *Cache) entry(name string) *entry {
	e := c.nodes[name]
	if e == nil {
		e = &entry{node: newNode(&v1.Node{})}
		e.node.Node.Name = name
		c.nodes[name] = e
	}
	c.changed[name] = true
	return e
}

// SetNode takes a Node object; RemoveNode forgets it, while its pods stay until the watch says otherwise.
func (c *Cache) SetNode(n *v1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(n.Name)
	e.node.set(n)
	e.known = true
}

func (c *Cache) RemoveNode(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(name)
	e.known = false
	if len(e.node.Pods) == 0 {
		delete(c.nodes, name)
	}
}

// SetPod takes a pod that has a node. It confirms an assumption, also one for another node.
func (c *Cache) SetPod(pod *v1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removePod(pod.UID)
	c.place(NewPod(pod), pod.Spec.NodeName, false)
}

// RemovePod forgets a pod that is gone or has ended.
func (c *Cache) RemovePod(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removePod(uid)
}

// Assume counts the pod on the node before the watch has seen it there.
func (c *Cache) Assume(pod *Pod, node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.pods[pod.UID]; !known {
		c.place(pod, node, true)
	}
}

// Forget takes an assumption back, if it was not confirmed meanwhile.
func (c *Cache) Forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pods[uid].assumed {
		c.removePod(uid)
	}
}

// IsPlaced reports whether the pod counts on a node, confirmed or assumed.
func (c *Cache) IsPlaced(uid types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.pods[uid]
	return ok
}

func (c *Cache) place(p *Pod, node string, assumed bool) {
	c.entry(node).node.add(p)
	c.pods[p.UID] = placed{pod: p, node: node, assumed: assumed}
}

func (c *Cache) removePod(uid types.UID) {
	p, ok := c.pods[uid]
	if !ok {
		return
	}
	delete(c.pods, uid)
	e := c.entry(p.node)
	e.node.remove(uid)
	if !e.known && len(e.node.Pods) == 0 {
		delete(c.nodes, p.node)
	}
}

// Snapshot is the state now. Nodes that did not change are shared with the snapshot before.
func (c *Cache) Snapshot() *Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.changed) == 0 {
		return c.last
	}
	defer clear(c.changed)
	if next := c.replaced(); next != nil {
		c.last = next
		return next
	}
	nodes := make([]*Node, 0, len(c.nodes))
	for name, e := range c.nodes {
		switch before := c.last.Node(name); {
		case !e.known:
		case c.changed[name] || before == nil:
			nodes = append(nodes, e.node.clone())
		default:
			nodes = append(nodes, before)
		}
	}
	c.last = newSnapshot(nodes)
	return c.last
}

// replaced is the last snapshot with the changed nodes in the places of their former selves; nil when nodes came, went
// or changed their zones, so that places are to be given anew.
func (c *Cache) replaced() *Snapshot {
	next := &Snapshot{Nodes: slices.Clone(c.last.Nodes), places: c.last.places}
	for name := range c.changed {
		place, before := c.last.places[name]
		e := c.nodes[name]
		if e == nil || !e.known {
			if before {
				return nil
			}
			continue
		}
		if !before || zoneOf(e.node) != zoneOf(next.Nodes[place]) {
			return nil
		}
		next.Nodes[place] = e.node.clone()
	}
	return next
}

// Snapshot is all nodes at one moment. It is immutable.
type Snapshot struct {
	// Nodes lists zone by zone in turn, so that a search that ends early has looked everywhere.
	Nodes  []*Node
	places map[string]int // in Nodes, by name; shared by snapshots of the same nodes
}

// New makes a snapshot of nodes, for tests and what-if questions.
func New(nodes ...*Node) *Snapshot { return newSnapshot(nodes) }

// NewNode makes a node with pods, for tests and what-if questions.
func NewNode(n *v1.Node, pods ...*v1.Pod) *Node {
	node := newNode(n)
	for _, p := range pods {
		node.add(NewPod(p))
	}
	return node
}

// Node finds a node by name; nil: it does not exist.
func (s *Snapshot) Node(name string) *Node {
	if place, ok := s.places[name]; ok {
		return s.Nodes[place]
	}
	return nil
}

// Replace is the snapshot with one node as given instead.
func (s *Snapshot) Replace(n *Node) *Snapshot {
	next := &Snapshot{Nodes: slices.Clone(s.Nodes), places: s.places}
	if place, ok := s.places[n.Name]; ok {
		next.Nodes[place] = n
	}
	return next
}

func zoneOf(n *Node) string {
	return n.Labels[v1.LabelTopologyRegion] + "/" + n.Labels[v1.LabelTopologyZone]
}

// newSnapshot gives the nodes their places.
func newSnapshot(nodes []*Node) *Snapshot {
	zones := map[string][]*Node{}
	for _, n := range nodes {
		zones[zoneOf(n)] = append(zones[zoneOf(n)], n)
	}
	for _, members := range zones {
		slices.SortFunc(members, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
	}
	names := slices.Sorted(maps.Keys(zones))
	s := &Snapshot{Nodes: make([]*Node, 0, len(nodes)), places: make(map[string]int, len(nodes))}
	for i := 0; len(s.Nodes) < len(nodes); i++ {
		for _, zone := range names {
			if i < len(zones[zone]) {
				s.places[zones[zone][i].Name] = len(s.Nodes)
				s.Nodes = append(s.Nodes, zones[zone][i])
			}
		}
	}
	return s
}
