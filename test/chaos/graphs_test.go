package chaos

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/chaos/memapi"
)

// graph is a random graph of owners: ConfigMaps o0 … oN, each owned by some of those before it, and what users do to it.
type graph struct {
	prefix  string
	size    int
	owners  map[int][]int
	removed []removal
}

type removal struct {
	object int
	policy metav1.DeletionPropagation
}

func randomGraph(c *Case, prefix string, size, removals int) graph {
	dice := c.dice("graph " + prefix)
	g := graph{prefix: prefix, size: size, owners: map[int][]int{}}
	for i := 1; i < size; i++ {
		for range dice.IntN(3) {
			if o := dice.IntN(i); !slices.Contains(g.owners[i], o) {
				g.owners[i] = append(g.owners[i], o)
			}
		}
	}
	for range removals {
		g.removed = append(g.removed, removal{dice.IntN(size), []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan}[dice.IntN(3)]})
	}
	return g
}

// outcome is the reference model: who is left, and whom they name as owners, after the removals one after the other
// (https://kubernetes.io/docs/concepts/architecture/garbage-collection/).
func (g graph) outcome() (alive map[int]bool, owners map[int][]int) {
	alive, owners = map[int]bool{}, map[int][]int{}
	for i := range g.size {
		alive[i], owners[i] = true, slices.Clone(g.owners[i])
	}
	for _, r := range g.removed {
		if !alive[r.object] {
			continue
		}
		alive[r.object] = false
		if r.policy == metav1.DeletePropagationOrphan {
			for i := range g.size {
				owners[i] = slices.DeleteFunc(owners[i], func(o int) bool { return o == r.object })
			}
			continue
		}
		for i := range g.size { // owners have lower numbers
			if !alive[i] || len(owners[i]) == 0 {
				continue
			}
			left := slices.DeleteFunc(slices.Clone(owners[i]), func(o int) bool { return !alive[o] })
			if len(left) == 0 {
				alive[i] = false
			}
			owners[i] = left
		}
	}
	return alive, owners
}

func (g graph) name(i int) string { return fmt.Sprintf("%so%d", g.prefix, i) }

func (g graph) make(c *Case) {
	uids := map[int]types.UID{}
	for i := range g.size {
		m := &v1.ConfigMap{ObjectMeta: meta(g.name(i))}
		for _, o := range g.owners[i] {
			m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: g.name(o), UID: uids[o], BlockOwnerDeletion: ptr.To(c.Rand.IntN(2) == 0)})
		}
		c.Make(m)
		c.Server.Locked(func() { uids[i] = one[v1.ConfigMap](c, ns, g.name(i)).UID })
	}
}

// compare returns how the server differs from the model.
func (g graph) compare(c *Case) error {
	alive, owners := g.outcome()
	for i := range g.size {
		m := c.Server.Peek("", "configmaps", ns, g.name(i))
		if err := missing(g.name(i)+" lives", m != nil, alive[i]); err != nil {
			return err
		}
		if m == nil {
			continue
		}
		var have, want []string
		for _, r := range m.GetOwnerReferences() {
			have = append(have, r.Name)
		}
		for _, o := range owners[i] {
			want = append(want, g.name(o))
		}
		slices.Sort(have)
		slices.Sort(want)
		if err := inOrder(missing("owners of "+g.name(i), have, want), missing(g.name(i)+" is being deleted", m.GetDeletionTimestamp() != nil, false)); err != nil {
			return err
		}
	}
	return nil
}

// collects checks that nothing is collected that has an owner that lives.
func collects(c *Case, e memapi.Event) {
	if e.Actor != "generic-garbage-collector" || e.Old == nil || e.Old.GetDeletionTimestamp() != nil || e.Object.GetDeletionTimestamp() == nil {
		return
	}
	for _, r := range e.Old.GetOwnerReferences() {
		if owner := c.Server.Peek("", "configmaps", e.Old.GetNamespace(), r.Name); owner != nil && owner.GetUID() == r.UID && owner.GetDeletionTimestamp() == nil {
			c.Wrong("%s is collected, whose owner %s lives", e.Object.GetName(), r.Name)
		}
	}
	if len(e.Old.GetOwnerReferences()) == 0 {
		c.Wrong("%s is collected, which has no owner", e.Object.GetName())
	}
}

// ownerGraphs are a few graphs.
func ownerGraphs() World { return manyGraphs(4, 20, 5) }

// manyGraphs are graphs whose objects are removed while things go wrong, of each graph one after the other, as the model does it:
// an orphaning and a cascade have another outcome the other way round.
func manyGraphs(count, size, removals int) World {
	var graphs []graph
	w := World{
		Begin: func(c *Case) {
			for i := range count {
				g := randomGraph(c, fmt.Sprintf("g%d-", i), size, removals)
				g.make(c)
				graphs = append(graphs, g)
			}
		},
		Check: collects,
		Done: func(c *Case) error {
			for _, g := range graphs {
				if err := g.compare(c); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for i := range removals {
		w.Steps = append(w.Steps, func(c *Case) {
			for range 120 {
				if !slices.ContainsFunc(graphs, func(g graph) bool { return !g.settled(c, i) }) {
					break
				}
				time.Sleep(5 * time.Second)
			}
			for _, g := range graphs {
				remove[v1.ConfigMap](c, ns, g.name(g.removed[i].object), g.removed[i].policy)
			}
		})
	}
	return w
}

// settled tells whether the first removals have had their effect.
func (g graph) settled(c *Case, removals int) bool {
	g.removed = g.removed[:removals]
	var err error
	c.Server.Locked(func() { err = g.compare(c) })
	return err == nil
}

// TestOwnerGraphs collects 1,000 random graphs of owners, 100 at a time in one cluster, and compares each with the model.
func TestOwnerGraphs(t *testing.T) {
	for i := range 10 {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				run(t, "garbage-collector-controller", manyGraphs(100, 4+i, 4), seed, modeOf(seed))
			})
		})
	}
}
