package listcache

import (
	"bytes"
	"hash/maphash"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// DefaultBytes bounds the encodings of one server.
	DefaultBytes = 32 << 20
	// maxItem is the size of an encoding above which it is not kept.
	maxItem = 256 << 10
	// idle is how long an encoding stays that no list shows: for one such time at least, for two at most.
	idle = 5 * time.Minute
	// marks is how many items are remembered to have been listed once, row by row: a row that is full forgets any of them.
	marks, row = 1 << 15, 4
)

// Cache is what all groups of a server share.
type Cache struct {
	limit  int64
	used   atomic.Int64
	seed   maphash.Seed
	listed [marks]atomic.Uint64

	mu      sync.Mutex
	shelves map[shelfKey]*shelf
	sweeper *time.Timer
}

// New returns a cache that holds up to limit bytes.
func New(limit int64) *Cache {
	return &Cache{limit: limit, seed: maphash.MakeSeed(), shelves: map[shelfKey]*shelf{}}
}

// shelfKey is a type of items in one form, "json" or "protobuf".
type shelfKey struct {
	item reflect.Type
	form string
}

type shelf struct {
	mu    sync.RWMutex
	kept  map[types.UID]*kept
	cache *Cache
	form  uint64
	size  int64 // of an item without what it points to
}

// kept is an encoding. Its fields do not change once it is on the shelf, but used.
type kept struct {
	version string
	// shown is the memory of a shallow copy of the item that was encoded. It keeps alive all that the item points to,
	// so an item whose memory is the same has the same content. It is nil where items of one version differ in memory:
	// converted ones, which are made anew for each list.
	shown   []byte
	encoded []byte
	used    atomic.Bool
}

func (k *kept) cost(item int64) int64 { return int64(len(k.encoded)) + item + 128 }

func (c *Cache) shelf(item reflect.Type, form string) *shelf {
	key := shelfKey{item, form}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelves[key]
	if s == nil {
		s = &shelf{kept: map[types.UID]*kept{}, cache: c, size: int64(item.Size()), form: maphash.Comparable(c.seed, key)}
		c.shelves[key] = s
	}
	return s
}

// memory is the item itself, without what it points to.
func memory(item reflect.Value) []byte {
	return unsafe.Slice((*byte)(item.Addr().UnsafePointer()), item.Type().Size())
}

// find returns the encodings of those items that have one, by their place in the list.
func (s *shelf) find(items reflect.Value) [][]byte {
	out := make([][]byte, items.Len())
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.kept) == 0 {
		return out
	}
	for i := range out {
		item := items.Index(i)
		k := s.kept[item.Addr().Interface().(metav1.Object).GetUID()]
		if k == nil || k.shown == nil || !bytes.Equal(k.shown, memory(item)) {
			continue
		}
		out[i] = k.encoded
		if !k.used.Load() {
			k.used.Store(true)
		}
	}
	return out
}

// wanted says whether the item's encoding is worth keeping: this is not the first list that shows it.
func (s *shelf) wanted(item metav1.Object) bool {
	if item.GetUID() == "" || s.cache.used.Load() >= s.cache.limit {
		return false
	}
	mark := maphash.String(s.cache.seed, string(item.GetUID()))*31 + maphash.String(s.cache.seed, item.GetResourceVersion()) + s.form
	if !s.cache.marked(mark) {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	k := s.kept[item.GetUID()]
	return k == nil || k.shown != nil || k.version != item.GetResourceVersion()
}

// marked says whether a mark was set, which it no longer is then; otherwise it sets it.
func (c *Cache) marked(mark uint64) bool {
	start := mark % (marks / row) * row
	free := start + rand.Uint64N(row)
	for i := start; i < start+row; i++ {
		switch c.listed[i].Load() {
		case mark:
			c.listed[i].Store(0)
			return true
		case 0:
			free = i
		}
	}
	c.listed[free].Store(mark)
	return false
}

// keep takes an encoding, which nobody may change from now on.
func (s *shelf) keep(item reflect.Value, encoded []byte) {
	object := item.Addr().Interface().(metav1.Object)
	k := &kept{version: object.GetResourceVersion()}
	k.used.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.kept[object.GetUID()]
	switch {
	case old == nil || old.version != k.version:
		shown := reflect.New(item.Type()).Elem()
		shown.Set(item)
		k.shown, k.encoded = memory(shown), encoded
	case bytes.Equal(old.shown, memory(item)):
		return // another list was faster
	}
	more := k.cost(s.size)
	if old != nil {
		more -= old.cost(s.size)
	}
	if s.cache.used.Add(more) > s.cache.limit && more > 0 {
		s.cache.used.Add(-more)
		return
	}
	s.kept[object.GetUID()] = k
	s.cache.sweepLater()
}

func (c *Cache) sweepLater() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sweeper == nil {
		c.sweeper = time.AfterFunc(idle, c.sweep)
	}
}

// sweep lets go of what no list showed since the last sweep. It runs as long as something is kept.
func (c *Cache) sweep() {
	c.mu.Lock()
	shelves := make([]*shelf, 0, len(c.shelves))
	for _, s := range c.shelves {
		shelves = append(shelves, s)
	}
	c.sweeper = nil
	c.mu.Unlock()
	left := 0
	for _, s := range shelves {
		s.mu.Lock()
		for uid, k := range s.kept {
			if !k.used.Swap(false) {
				delete(s.kept, uid)
				c.used.Add(-k.cost(s.size))
			}
		}
		left += len(s.kept)
		s.mu.Unlock()
	}
	if left > 0 {
		c.sweepLater()
	}
}
