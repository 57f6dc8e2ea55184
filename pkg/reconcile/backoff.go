package reconcile

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

// backoff lengthens the pause before a failing key is tried again by the tries that it asked for itself. What fails between
// them, because an event woke the key, leaves the pause as it is: a busy object would soon wait for minutes otherwise.
type backoff struct {
	workqueue.TypedRateLimiter[Key]
	clock clock.PassiveClock

	mu  sync.Mutex
	due map[Key]time.Time // of the try that is to come
}

func newBackoff(o Options) *backoff {
	return &backoff{
		TypedRateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[Key](o.BaseDelay, o.MaxDelay),
		clock:            o.Clock,
		due:              map[Key]time.Time{},
	}
}

// When implements workqueue.TypedRateLimiter.
func (b *backoff) When(key Key) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	if left := b.due[key].Sub(now); left > 0 {
		return left
	}
	pause := b.TypedRateLimiter.When(key)
	b.due[key] = now.Add(pause)
	return pause
}

// Forget implements workqueue.TypedRateLimiter.
func (b *backoff) Forget(key Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.due, key)
	b.TypedRateLimiter.Forget(key)
}
