package plan

import (
	"sync"
	"time"

	"pilotis.dev/cmd/kubelet/observed"
)

// InitialBackoff is the first delay of a container that keeps ending; it doubles up to the configured maximum, and is
// forgotten when the container has run for ten minutes (documentation of pod lifecycle).
const (
	InitialBackoff = 10 * time.Second
	forgetAfter    = 10 * time.Minute
)

// Backoff delays restarts.
type Backoff struct {
	Max time.Duration

	mu     sync.Mutex
	delays map[string]time.Duration // by pod UID and container; what the next restart must wait
}

// NewBackoff delays by max at most.
func NewBackoff(max time.Duration) *Backoff {
	return &Backoff{Max: max, delays: map[string]time.Duration{}}
}

// Wait is how long the container of pod uid that ended must still wait. The first restart is immediate.
func (b *Backoff) Wait(uid string, c *observed.Container, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := uid + "/" + c.Name
	if started := c.Started.Unix() > 0; started && c.Finished.Sub(c.Started) >= forgetAfter {
		delete(b.delays, key)
	}
	return max(0, b.delays[key]-now.Sub(c.Finished))
}

// Period is the whole of the back-off that the container of pod uid is in, however much of it is over.
func (b *Backoff) Period(uid, container string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.delays[uid+"/"+container]
}

// Restarted notes that the container starts again: the next time it waits twice as long.
func (b *Backoff) Restarted(uid, container string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := uid + "/" + container
	b.delays[key] = min(max(InitialBackoff, 2*b.delays[key]), max(b.Max, time.Second))
}

// Forget drops a pod that is gone.
func (b *Backoff) Forget(uid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.delays {
		if len(key) > len(uid) && key[:len(uid)+1] == uid+"/" {
			delete(b.delays, key)
		}
	}
}
