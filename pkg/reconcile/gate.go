package reconcile

import (
	"math"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Wrote reports that the reconciler created, updated or patched obj (as the API server returned it) on behalf of key. The key
// is held until the store of inf has reached obj's resourceVersion. inf must have been given to Watch.
func (c *Controller) Wrote(inf cache.SharedIndexInformer, key Key, obj metav1.Object) {
	rv, ok := parseVersion(obj.GetResourceVersion())
	if !ok {
		return
	}
	c.gate.wrote(c.gate.source(inf), key, rv)
}

// Deleted reports that the reconciler deleted obj (as it was in the cache) on behalf of key. The key is held until the store
// of inf shows that object, by UID, as terminating or gone. inf must have been given to Watch.
func (c *Controller) Deleted(inf cache.SharedIndexInformer, key Key, obj metav1.Object) {
	c.gate.deleted(c.gate.source(inf), key, obj)
}

// Held tells whether a write reported for key is still missing in a cache.
func (c *Controller) Held(key Key) bool { return c.gate.held(key) }

// gate remembers which writes of which key the caches have not shown yet.
type gate struct {
	release func(Key)

	mu      sync.Mutex
	sources map[cache.SharedIndexInformer]*source
	holds   map[Key]int // number of entries in all sources; a key without an entry is free
}

// source is the gate's view of one informer.
type source struct {
	informer cache.SharedIndexInformer
	// high is the highest resourceVersion an event handler saw. It stands in for the store's own version when that is not
	// reported (client-go's AtomicFIFO switched off by the environment).
	high uint64
	// versions holds, by key, the resourceVersion the store has to reach; next is the lowest of them.
	versions map[Key]uint64
	next     uint64
	// deletions holds deleted objects that the store still has alive, by UID.
	deletions map[types.UID]deletion
}

type deletion struct {
	name string // store key
	keys map[Key]struct{}
}

func newGate(release func(Key)) *gate {
	return &gate{release: release, sources: map[cache.SharedIndexInformer]*source{}, holds: map[Key]int{}}
}

func (g *gate) source(inf cache.SharedIndexInformer) *source {
	g.mu.Lock()
	defer g.mu.Unlock()
	src := g.sources[inf]
	if src == nil {
		src = &source{informer: inf, versions: map[Key]uint64{}, next: math.MaxUint64, deletions: map[types.UID]deletion{}}
		g.sources[inf] = src
	}
	return src
}

func (g *gate) wrote(src *source, key Key, rv uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if src.version() >= rv {
		return
	}
	old, waiting := src.versions[key]
	if !waiting {
		g.holds[key]++
	}
	src.versions[key] = max(old, rv)
	// next may be too low after a raise of the lowest entry; that costs one needless scan, never a missed release.
	src.next = min(src.next, rv)
}

func (g *gate) deleted(src *source, key Key, obj metav1.Object) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := cache.NewObjectName(obj.GetNamespace(), obj.GetName()).String()
	if !src.alive(name, obj.GetUID()) {
		return
	}
	entry, known := src.deletions[obj.GetUID()]
	if !known {
		entry = deletion{name: name, keys: map[Key]struct{}{}}
		src.deletions[obj.GetUID()] = entry
	}
	if _, dup := entry.keys[key]; !dup {
		entry.keys[key] = struct{}{}
		g.holds[key]++
	}
}

// delivered is called by the event handlers, after the store has taken the event in.
func (g *gate) delivered(src *source, obj any, gone bool) {
	object, err := meta.Accessor(obj)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if rv, ok := parseVersion(object.GetResourceVersion()); ok {
		src.high = max(src.high, rv)
	}
	if gone || object.GetDeletionTimestamp() != nil {
		g.settleDeletion(src, object.GetUID())
	}
	if reached := src.version(); reached >= src.next {
		g.settleVersions(src, reached)
	}
}

// held looks at the stores too, so that it is right even when no event tells of the progress.
func (g *gate) held(key Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds[key] == 0 {
		return false
	}
	for _, src := range g.sources {
		if rv, waiting := src.versions[key]; waiting && src.version() >= rv {
			g.settleVersions(src, src.version())
		}
		for uid, entry := range src.deletions {
			if _, ours := entry.keys[key]; ours && !src.alive(entry.name, uid) {
				g.settleDeletion(src, uid)
			}
		}
	}
	return g.holds[key] > 0
}

func (g *gate) settleVersions(src *source, reached uint64) {
	src.next = math.MaxUint64
	for key, rv := range src.versions {
		if rv <= reached {
			delete(src.versions, key)
			g.drop(key)
			continue
		}
		src.next = min(src.next, rv)
	}
}

func (g *gate) settleDeletion(src *source, uid types.UID) {
	entry, waiting := src.deletions[uid]
	if !waiting {
		return
	}
	delete(src.deletions, uid)
	for key := range entry.keys {
		g.drop(key)
	}
}

// drop removes one entry of key, and enqueues the key with the last one: it may have been asked for while it was held.
func (g *gate) drop(key Key) {
	if g.holds[key]--; g.holds[key] > 0 {
		return
	}
	delete(g.holds, key)
	g.release(key)
}

// version is the resourceVersion up to which the store is complete.
func (s *source) version() uint64 {
	if rv, ok := parseVersion(s.informer.GetStore().LastStoreSyncResourceVersion()); ok {
		return rv
	}
	return s.high
}

// alive tells whether the store holds the object with this UID and does not know yet that it was deleted.
func (s *source) alive(name string, uid types.UID) bool {
	obj, exists, err := s.informer.GetStore().GetByKey(name)
	if err != nil || !exists {
		return false
	}
	object, err := meta.Accessor(obj)
	return err == nil && object.GetUID() == uid && object.GetDeletionTimestamp() == nil
}

func parseVersion(rv string) (uint64, bool) {
	n, err := strconv.ParseUint(rv, 10, 64)
	return n, err == nil && n > 0
}
