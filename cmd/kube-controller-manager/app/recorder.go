package app

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"
)

// What client-go's recorder lets through about one object: see record.EventCorrelatorOptions.
const (
	eventBurst  = 25
	eventRate   = 1. / 300 // a second
	eventMemory = 4096     // objects
)

// sparing drops an event that client-go's recorder would drop, before that works out how it resembles the ones before: a
// scaled ReplicaSet has thousands of them, which took an eighth of the CPU time of its pods. The count of "combined from similar
// events" leaves out what was dropped.
type sparing struct {
	record.EventRecorder
	clock clock.PassiveClock

	mu      sync.Mutex
	objects *lru.Cache // flowcontrol.PassiveRateLimiter by types.UID
}

func newSparing(next record.EventRecorder, clock clock.PassiveClock) *sparing {
	return &sparing{EventRecorder: next, clock: clock, objects: lru.New(eventMemory)}
}

func (s *sparing) passes(object runtime.Object) bool {
	m, err := meta.Accessor(object)
	if err != nil || m.GetUID() == "" {
		return true // a reference, or nothing that the library takes either
	}
	return s.limiter(m.GetUID()).TryAccept()
}

func (s *sparing) limiter(uid types.UID) flowcontrol.PassiveRateLimiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.objects.Get(uid); ok {
		return known.(flowcontrol.PassiveRateLimiter)
	}
	limiter := flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(eventRate, eventBurst, s.clock)
	s.objects.Add(uid, limiter)
	return limiter
}

// Event implements record.EventRecorder.
func (s *sparing) Event(object runtime.Object, kind, reason, message string) {
	if s.passes(object) {
		s.EventRecorder.Event(object, kind, reason, message)
	}
}

// Eventf implements record.EventRecorder.
func (s *sparing) Eventf(object runtime.Object, kind, reason, message string, args ...any) {
	if s.passes(object) {
		s.EventRecorder.Eventf(object, kind, reason, message, args...)
	}
}

// AnnotatedEventf implements record.EventRecorder.
func (s *sparing) AnnotatedEventf(object runtime.Object, annotations map[string]string, kind, reason, message string, args ...any) {
	if s.passes(object) {
		s.EventRecorder.AnnotatedEventf(object, annotations, kind, reason, message, args...)
	}
}
