package nodelifecycle

import (
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// zones limits how many nodes a second lose their pods, by zone: when most of a zone is silent, the network is a
// likelier cause than the nodes (documentation of nodes, "Rate limits on eviction").
type zones struct {
	config Config
	nodes  corelisters.NodeLister
	beats  *heartbeats

	mu      sync.Mutex
	buckets map[string]*bucket
	allDown bool
	counted time.Time // when counts was made
	counts  map[string]count
}

// count is the nodes of a zone.
type count struct{ ready, notReady int32 }

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

// countedFor is how long counts hold; many nodes that fail together ask for them together.
const countedFor = time.Second

// eviction says what may become of the NoExecute taint of the node, and takes its zone's turn when it may come. A node
// that is silent, but not for long enough by this controller's clock, still has time to report.
func (z *zones) eviction(n *v1.Node) eviction {
	z.mu.Lock()
	defer z.mu.Unlock()
	if isReady(n) {
		if z.allDown {
			z.count()
		}
		return evictNothing
	}
	z.count()
	switch {
	case z.allDown:
		return evictNothing
	case evicting(n):
		return evictAsIs
	}
	if ready := conditionOf(n, v1.NodeReady); ready == nil || ready.Status == v1.ConditionUnknown && z.beats.silence(n) < z.config.MonitorGracePeriod {
		return evictAsIs
	}
	now := z.config.Clock.Now()
	b := z.buckets[zoneOf(n)]
	if b == nil {
		b = &bucket{level: 1, last: now}
		z.buckets[zoneOf(n)] = b
	}
	if !b.take(now, z.rate(z.counts[zoneOf(n)])) {
		return evictAsIs
	}
	return evictNow
}

// count counts the nodes of each zone, and notices when all are down and when the first is back.
func (z *zones) count() {
	now := z.config.Clock.Now()
	if z.counts != nil && now.Sub(z.counted) < countedFor {
		return
	}
	all, err := z.nodes.List(labels.Everything())
	if err != nil {
		return
	}
	z.counted, z.counts = now, map[string]count{}
	down := len(all) > 0
	for _, n := range all {
		c := z.counts[zoneOf(n)]
		if isReady(n) {
			c.ready++
			down = false
		} else {
			c.notReady++
		}
		z.counts[zoneOf(n)] = c
	}
	if z.allDown && !down {
		z.beats.forgive() // it was this controller that was cut off: the others get their time to report
		clear(z.buckets)
	}
	z.allDown = down
}

// rate is how many of the zone's nodes may lose their pods in a second. A zone that is down as a whole, among others
// that are not, is evicted like a healthy one: its pods find room elsewhere.
func (z *zones) rate(c count) float64 {
	share := float32(c.notReady) / float32(c.ready+c.notReady)
	switch {
	case c.ready == 0, c.notReady <= 2, share < z.config.UnhealthyShare:
		return float64(z.config.EvictionRate)
	case c.ready+c.notReady > z.config.LargeCluster:
		return float64(z.config.SecondaryRate)
	}
	return 0
}
