package reconcile

import "sync"

// turns is how many keys go before one that has waited longer on the lower level.
const turns = 10

// order is the order of a queue, on two levels: what has happened goes before what is merely there, as after a start, when all
// objects are listed, or at a resync. One key in turns comes from the lower level as long as the upper one has any, so
// that a busy cluster does not keep it waiting for ever. Within a level the first comes first.
type order struct {
	mu    sync.Mutex
	known map[Key]struct{} // keys that will be pushed onto the lower level
	upper []Key
	lower []Key
	waits map[Key]struct{} // keys of the lower level; an entry of lower that is not among them has been moved up
	taken int
}

func newOrder() *order {
	return &order{known: map[Key]struct{}{}, waits: map[Key]struct{}{}}
}

// expect says why key is about to be added.
func (o *order) expect(key Key, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if known {
		o.known[key] = struct{}{}
	} else {
		delete(o.known, key)
	}
}

// Push implements workqueue.Queue.
func (o *order) Push(key Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.known[key]; !known {
		o.upper = append(o.upper, key)
		return
	}
	delete(o.known, key)
	o.lower = append(o.lower, key)
	o.waits[key] = struct{}{}
}

// Touch implements workqueue.Queue: key, which waits, was added again.
func (o *order) Touch(key Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, known := o.known[key]
	delete(o.known, key)
	if _, waits := o.waits[key]; waits && !known {
		delete(o.waits, key)
		o.upper = append(o.upper, key)
	}
}

// Len implements workqueue.Queue.
func (o *order) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.upper) + len(o.waits)
}

// Pop implements workqueue.Queue; it is called when Len is not 0.
func (o *order) Pop() Key {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken++
	if len(o.upper) > 0 && (len(o.waits) == 0 || o.taken%turns != 0) {
		return shift(&o.upper)
	}
	for {
		key := shift(&o.lower)
		if _, waits := o.waits[key]; waits {
			delete(o.waits, key)
			return key
		}
	}
}

func shift(keys *[]Key) Key {
	key := (*keys)[0]
	(*keys)[0] = Key{} // for the garbage collector
	*keys = (*keys)[1:]
	return key
}
