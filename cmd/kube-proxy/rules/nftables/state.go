package nftables

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/kube-proxy/desired"
)

// State is what the kernel's table holds, as committed: changes are planned against it without listing anything.
type State struct {
	builder  Builder
	entries  map[types.NamespacedName]Entry
	owners   map[slot]types.NamespacedName                  // whose element stands under a key; the first Service keeps it
	starved  map[types.NamespacedName][]desired.ServicePort // Services of which some element is another's
	hairpins map[netip.Addr]int                             // number of Services with the endpoint
}

type slot struct{ container, key string }

// NewState is the state of a table that holds its base alone.
func NewState(b Builder) *State {
	return &State{builder: b, entries: map[types.NamespacedName]Entry{}, owners: map[slot]types.NamespacedName{},
		starved: map[types.NamespacedName][]desired.ServicePort{}, hairpins: map[netip.Addr]int{}}
}

// Apply plans the change of the Services named onto tx and takes the state to what it will be. When the
// transaction fails the table is as before and the State must be thrown away, with the base written anew.
func (s *State) Apply(tx *knftables.Transaction, changes map[types.NamespacedName][]desired.ServicePort) {
	// What goes away goes first: another changed Service may take its addresses and ports over.
	next := make(map[types.NamespacedName]Entry, len(changes))
	for key := range changes {
		for _, el := range s.entries[key].Elements {
			delete(s.owners, slot{el.Container, el.Key})
		}
	}
	for key, ports := range changes {
		next[key] = s.claim(key, ports)
	}
	for key, ports := range s.starved {
		if _, changed := changes[key]; !changed {
			next[key] = s.claim(key, ports)
		}
	}
	for key := range next {
		removeElements(tx, s.entries[key], next[key])
	}
	for key, entry := range next {
		change(tx, s.builder.ip(), s.entries[key], entry)
		s.countHairpins(tx, s.entries[key].Hairpin, entry.Hairpin)
		if entry.Chains == nil && entry.Elements == nil {
			delete(s.entries, key)
		} else {
			s.entries[key] = entry
		}
	}
}

// claim builds the entry of a Service without the elements that another one holds, such as an external IP and port that
// two Services name. It gets them when the other one gives them up.
func (s *State) claim(key types.NamespacedName, ports []desired.ServicePort) Entry {
	e := s.builder.Build(ports)
	var mine []Element
	for _, el := range e.Elements {
		at := slot{el.Container, el.Key}
		if owner, taken := s.owners[at]; taken && owner != key {
			continue
		}
		s.owners[at] = key
		mine = append(mine, el)
	}
	if len(mine) < len(e.Elements) {
		s.starved[key] = ports
	} else {
		delete(s.starved, key)
	}
	e.Elements = mine
	return e
}

func (s *State) countHairpins(tx *knftables.Transaction, old, new []netip.Addr) {
	pair := func(a netip.Addr) *knftables.Element {
		return &knftables.Element{Set: setHairpin, Key: []string{a.String(), a.String()}}
	}
	for _, a := range new {
		if s.hairpins[a]++; s.hairpins[a] == 1 {
			tx.Add(pair(a))
		}
	}
	for _, a := range old {
		if s.hairpins[a]--; s.hairpins[a] == 0 {
			delete(s.hairpins, a)
			tx.Delete(pair(a))
		}
	}
}
