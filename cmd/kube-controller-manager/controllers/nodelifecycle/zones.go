package nodelifecycle

import (
	"time"

	v1 "k8s.io/api/core/v1"
)

// zones limits how many nodes a second lose their pods, by zone: when most of a zone is silent, the network is a
// likelier cause than the nodes (documentation of node eviction rates).
type zones struct {
	tokens map[string]*bucket
}

// bucket holds at most one node's turn.
type bucket struct {
	level float64
	last  time.Time
}

func (b *bucket) take(now time.Time, rate float64) bool {
	b.level = min(1, b.level+now.Sub(b.last).Seconds()*rate)
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

func zoneOf(n *v1.Node) string {
	return n.Labels[v1.LabelTopologyRegion] + "\x00" + n.Labels[v1.LabelTopologyZone]
}

// mayEvict reports whether a node that is not ready may get its NoExecute taint now.
func (c *controller) mayEvict(n *v1.Node) bool {
	ready := conditionOf(n, v1.NodeReady)
	if ready == nil || ready.Status == v1.ConditionTrue {
		return false
	}
	for _, t := range n.Spec.Taints {
		if t.Effect == v1.TaintEffectNoExecute && managed[t.Key] {
			return true // it was let through before
		}
	}
	all, err := c.list()
	if err != nil {
		return false
	}
	rate := c.zoneRate(all, zoneOf(n))
	if rate <= 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.rate.tokens[zoneOf(n)]
	if b == nil {
		b = &bucket{level: 1, last: c.Clock.Now()}
		c.rate.tokens[zoneOf(n)] = b
	}
	return b.take(c.Clock.Now(), rate)
}

// zoneRate is the zone's rate in nodes a second: none when all zones are wholly down, since then it is this controller
// that is cut off.
func (c *controller) zoneRate(all []*v1.Node, zone string) float64 {
	type count struct{ total, down int }
	zones := map[string]*count{}
	for _, n := range all {
		z := zones[zoneOf(n)]
		if z == nil {
			z = &count{}
			zones[zoneOf(n)] = z
		}
		z.total++
		if ready := conditionOf(n, v1.NodeReady); ready == nil || ready.Status != v1.ConditionTrue {
			z.down++
		}
	}
	everythingDown := true
	for _, z := range zones {
		everythingDown = everythingDown && z.down == z.total
	}
	mine := zones[zone]
	switch {
	case mine == nil, everythingDown:
		return 0
	case mine.down > 2 && float32(mine.down)/float32(mine.total) >= c.UnhealthyShare:
		if int32(mine.total) > c.LargeCluster {
			return float64(c.SecondaryRate)
		}
		return 0
	}
	return float64(c.EvictionRate)
}
