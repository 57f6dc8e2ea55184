package admission

import (
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"
)

// recentFor is how long an answer of the API to a question that the cache could not answer is good for.
const recentFor = 30 * time.Second

// recentLists remembers live lists by namespace for a moment, so that a namespace without such objects does not cost a
// request each time.
type recentLists[T any] struct {
	clock  clock.PassiveClock
	flight singleflight.Group

	mu      sync.Mutex
	entries map[string]recentEntry[T]
	swept   time.Time
}

type recentEntry[T any] struct {
	until time.Time
	items []*T
}

func newRecentLists[T any](clk clock.PassiveClock) *recentLists[T] {
	return &recentLists[T]{clock: clk, entries: map[string]recentEntry[T]{}}
}

// get returns the remembered list of a namespace or asks for it; those who ask at the same time share one answer.
func (r *recentLists[T]) get(namespace string, live func() ([]*T, error)) ([]*T, error) {
	now := r.clock.Now()
	r.mu.Lock()
	e, ok := r.entries[namespace]
	if now.Sub(r.swept) > recentFor {
		r.swept = now
		for k, v := range r.entries {
			if now.After(v.until) {
				delete(r.entries, k)
			}
		}
	}
	r.mu.Unlock()
	if ok && now.Before(e.until) {
		return append([]*T(nil), e.items...), nil
	}
	items, err, _ := r.flight.Do(namespace, func() (any, error) {
		items, err := live()
		if err == nil {
			r.mu.Lock()
			r.entries[namespace] = recentEntry[T]{until: now.Add(recentFor), items: items}
			r.mu.Unlock()
		}
		return items, err
	})
	if err != nil {
		return nil, err
	}
	return append([]*T(nil), items.([]*T)...), nil
}
