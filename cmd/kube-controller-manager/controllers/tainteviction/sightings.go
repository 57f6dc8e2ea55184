package tainteviction

import (
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/pkg/reconcile"
)

// sightings remembers when each pod was first seen beside each NoExecute taint of its node. A restart of the controller
// forgets them: a pod then stays for at most its toleration once more.
type sightings struct {
	mu    sync.Mutex
	since map[types.NamespacedName]sighting
	// scheduled are the pods whose deletion waits for the end of a toleration.
	scheduled map[types.NamespacedName]types.UID
}

type sighting struct {
	pod    types.UID
	taints map[taintKey]time.Time
}

type taintKey struct{ key, value string }

// note takes the taints that are there now and gives when each was first seen. Taints that went are forgotten.
func (s *sightings) note(key reconcile.Key, pod types.UID, taints []v1.Taint, now time.Time) func(*v1.Taint) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.since[key]
	if before.pod != pod {
		before.taints = nil
	}
	first := map[taintKey]time.Time{}
	for _, t := range taints {
		if t.Effect != v1.TaintEffectNoExecute {
			continue
		}
		k := taintKey{t.Key, t.Value}
		if since, known := before.taints[k]; known {
			first[k] = since
		} else {
			first[k] = now
		}
	}
	if len(first) == 0 {
		delete(s.since, key)
	} else {
		s.since[key] = sighting{pod, first}
	}
	return func(t *v1.Taint) time.Time { return first[taintKey{t.Key, t.Value}] }
}

func (s *sightings) forget(key reconcile.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, key)
	delete(s.scheduled, key)
}

// schedule notes that the pod's deletion waits.
func (s *sightings) schedule(key reconcile.Key, pod types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scheduled[key] = pod
}

// cancel reports whether the pod's deletion waited. It does no longer.
func (s *sightings) cancel(key reconcile.Key, pod types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, waited := s.scheduled[key]
	delete(s.scheduled, key)
	return waited && waiting == pod
}
