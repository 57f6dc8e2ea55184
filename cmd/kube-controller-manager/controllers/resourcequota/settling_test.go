package resourcequota

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"pilotis.dev/pkg/reconcile"
)

// A quota that admission has just added to is not counted before what it added can have arrived.
func TestAQuotaIsCountedWhenItIsQuiet(t *testing.T) {
	s := &settling{last: map[reconcile.Key]change{}}
	key := reconcile.Key{Namespace: "a", Name: "q"}
	hard := v1.ResourceList{v1.ResourcePods: resource.MustParse("5")}
	q := &v1.ResourceQuota{Spec: v1.ResourceQuotaSpec{Hard: hard}}
	now := time.Unix(1000, 0)

	s.changed(key, "1", now)
	if wait := s.wait(key, q, now); wait != 0 {
		t.Errorf("a new quota waits %v before its limits hold", wait)
	}
	q.Status.Hard = hard
	s.changed(key, "2", now)
	if wait := s.wait(key, q, now.Add(100*time.Millisecond)); wait != quiet-100*time.Millisecond {
		t.Errorf("a quota that changed 100 ms ago waits %v", wait)
	}
	s.changed(key, "2", now.Add(400*time.Millisecond)) // the version is known: nothing changed
	if wait := s.wait(key, q, now.Add(quiet)); wait != 0 {
		t.Errorf("a quiet quota waits %v", wait)
	}
	for i := range 20 { // one that changes all the time
		now = now.Add(400 * time.Millisecond)
		s.changed(key, string(rune('a'+i)), now)
		wait := s.wait(key, q, now)
		if late := i*400 >= 5000; late && wait > 0 {
			t.Fatalf("it waits %v more after %d ms", wait, i*400)
		} else if !late && wait == 0 {
			t.Fatalf("it does not wait after %d ms", i*400)
		} else if late {
			break
		}
	}
}
