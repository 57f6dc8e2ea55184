package desired

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Tracker holds the Services and EndpointSlices that the watches delivered and remembers which Services changed
// since the last call of Changes. It is not safe for concurrent use.
type Tracker struct {
	family   v1.IPFamily
	node     Node
	services map[types.NamespacedName]*v1.Service
	slices   map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice
	dirty    map[types.NamespacedName]bool
}

// NewTracker returns an empty tracker for one IP family.
func NewTracker(family v1.IPFamily, node Node) *Tracker {
	return &Tracker{
		family: family, node: node,
		services: map[types.NamespacedName]*v1.Service{},
		slices:   map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice{},
		dirty:    map[types.NamespacedName]bool{},
	}
}

// SetNode takes the node's present topology; a change of it bears on every Service.
func (t *Tracker) SetNode(n Node) {
	if n == t.node {
		return
	}
	t.node = n
	for key := range t.services {
		t.dirty[key] = true
	}
}

// SetService takes a Service, DeleteService forgets it.
func (t *Tracker) SetService(s *v1.Service) {
	key := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	t.services[key] = s
	t.dirty[key] = true
}

func (t *Tracker) DeleteService(key types.NamespacedName) {
	delete(t.services, key)
	t.dirty[key] = true
}

// SetSlice takes an EndpointSlice, DeleteSlice forgets it.
func (t *Tracker) SetSlice(s *discoveryv1.EndpointSlice) {
	key := ownerOf(s)
	if key.Name == "" {
		return
	}
	if t.slices[key] == nil {
		t.slices[key] = map[string]*discoveryv1.EndpointSlice{}
	}
	t.slices[key][s.Name] = s
	t.dirty[key] = true
}

func (t *Tracker) DeleteSlice(s *discoveryv1.EndpointSlice) {
	key := ownerOf(s)
	delete(t.slices[key], s.Name)
	if len(t.slices[key]) == 0 {
		delete(t.slices, key)
	}
	t.dirty[key] = true
}

func ownerOf(s *discoveryv1.EndpointSlice) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
}

// Changes gives the ports of every Service that changed since the last call; a Service that is gone has none.
func (t *Tracker) Changes() map[types.NamespacedName][]ServicePort {
	changes := make(map[types.NamespacedName][]ServicePort, len(t.dirty))
	for key := range t.dirty {
		var ports []ServicePort
		if svc := t.services[key]; svc != nil {
			ports = Ports(svc, slices.Collect(maps.Values(t.slices[key])), t.family, t.node)
		}
		changes[key] = ports
	}
	clear(t.dirty)
	return changes
}

// Again marks Services whose changes could not be applied.
func (t *Tracker) Again(changes map[types.NamespacedName][]ServicePort) {
	for key := range changes {
		t.dirty[key] = true
	}
}
