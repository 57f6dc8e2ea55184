package nftables

import (
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/knftables"
)

// removeElements adds to tx the end of the elements that go or change: a map takes no second value for a key.
func removeElements(tx *knftables.Transaction, old, new Entry) {
	for _, el := range old.Elements {
		if !slices.Contains(new.Elements, el) {
			tx.Delete(element(el))
		}
	}
}

// change adds to tx what turns the entry old of a Service into new, but for removeElements, which comes before. Objects that stay are not mentioned, so that
// the counters, the affinity of clients and other Services are left alone.
func change(tx *knftables.Transaction, family string, old, new Entry) {
	addr := "ipv4_addr"
	if family == "ip6" {
		addr = "ipv6_addr"
	}
	oldChains, newChains := byName(old.Chains), byName(new.Chains)

	for _, s := range new.Sets {
		if !slices.Contains(old.Sets, s) {
			tx.Add(&knftables.Set{Name: s.Name, Type: addr, Flags: []knftables.SetFlag{knftables.DynamicFlag, knftables.TimeoutFlag},
				Timeout: knftables.PtrTo(time.Duration(s.Seconds) * time.Second)})
		}
	}
	// Every chain exists before a rule names it.
	for _, c := range new.Chains {
		if rules, ok := oldChains[c.Name]; !ok {
			tx.Add(&knftables.Chain{Name: c.Name})
		} else if !slices.Equal(rules, c.Rules) {
			tx.Flush(&knftables.Chain{Name: c.Name})
		}
	}
	for _, c := range new.Chains {
		if rules, ok := oldChains[c.Name]; ok && slices.Equal(rules, c.Rules) {
			continue
		}
		for _, r := range c.Rules {
			tx.Add(&knftables.Rule{Chain: c.Name, Rule: r})
		}
	}
	for _, el := range new.Elements {
		if !slices.Contains(old.Elements, el) {
			tx.Add(element(el))
		}
	}
	// Chains go when nothing names them any more: their own rules may name one another.
	var gone []string
	for _, c := range old.Chains {
		if _, stays := newChains[c.Name]; !stays {
			tx.Flush(&knftables.Chain{Name: c.Name})
			gone = append(gone, c.Name)
		}
	}
	for _, name := range gone {
		tx.Delete(&knftables.Chain{Name: name})
	}
	for _, s := range old.Sets {
		if !slices.ContainsFunc(new.Sets, func(n AffinitySet) bool { return n.Name == s.Name }) {
			tx.Delete(&knftables.Set{Name: s.Name})
		}
	}
}

func byName(chains []Chain) map[string][]string {
	m := make(map[string][]string, len(chains))
	for _, c := range chains {
		m[c.Name] = c.Rules
	}
	return m
}

func element(el Element) *knftables.Element {
	e := &knftables.Element{Key: strings.Split(el.Key, " . ")}
	if el.IsMap {
		e.Map, e.Value = el.Container, []string{el.Value}
	} else {
		e.Set = el.Container
	}
	return e
}
