package resourcequota

import (
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"pilotis.dev/pkg/reconcile"
)

const (
	// quiet is how long a quota must not have changed before it is counted. Admission adds an object to the quota
	// before the object is stored: who counts in between finds it missing, takes it off again, and lets too much in.
	quiet = 500 * time.Millisecond
	// patience ends the wait for a quota that changes all the time.
	patience = 5 * time.Second
)

// settling knows when each quota last changed.
type settling struct {
	mu   sync.Mutex
	last map[reconcile.Key]change
}

type change struct {
	version string
	at      time.Time // of this version's arrival
	waiting time.Time // since when the quota is to be counted; zero: it is not
}

// changed notes the version of a quota that has arrived.
func (s *settling) changed(key reconcile.Key, version string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.last[key]; c.version != version {
		s.last[key] = change{version: version, at: now, waiting: c.waiting}
	}
}

// wait is how long the quota is not to be counted yet. One whose limits are not in force yet is counted at once.
func (s *settling) wait(key reconcile.Key, q *v1.ResourceQuota, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.last[key]
	if c.waiting.IsZero() {
		c.waiting = now
	}
	left := min(quiet-now.Sub(c.at), patience-now.Sub(c.waiting))
	if left <= 0 || !equality.Semantic.DeepEqual(q.Spec.Hard, q.Status.Hard) {
		left, c.waiting = 0, time.Time{}
	}
	s.last[key] = c
	return left
}

func (s *settling) forget(key reconcile.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, key)
}
