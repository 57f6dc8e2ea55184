package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	cachetesting "k8s.io/client-go/tools/cache/testing"

	"pilotis.dev/pkg/reconcile"
)

// story is a controller over one informer of pods, whose keys are the pods' namespaces.
type story struct {
	source *cachetesting.FakeControllerSource
	pods   cache.SharedIndexInformer
	loop   *reconcile.Controller

	mu   sync.Mutex
	runs []string
	act  func(key reconcile.Key) (reconcile.Result, error)
}

func (s *story) Reconcile(_ context.Context, key reconcile.Key) (reconcile.Result, error) {
	s.mu.Lock()
	s.runs = append(s.runs, key.Name)
	act := s.act
	s.mu.Unlock()
	if act == nil {
		return reconcile.Result{}, nil
	}
	return act(key)
}

func (s *story) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.runs)
}

func begin(t *testing.T, o reconcile.Options) *story {
	s := &story{source: cachetesting.NewFakeControllerSource()}
	s.pods = cache.NewSharedIndexInformer(s.source, &v1.Pod{}, 0, cache.Indexers{})
	s.loop = reconcile.New("story", s, o)
	s.loop.Watch(s.pods, func(obj any) []reconcile.Key { return []reconcile.Key{{Name: obj.(*v1.Pod).Namespace}} })
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { s.pods.RunWithContext(ctx) })
	group.Go(func() { s.loop.Run(ctx) })
	t.Cleanup(func() { cancel(); s.source.Shutdown(); group.Wait() })
	synctest.Wait()
	return s
}

func pod(name string, version int) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(name), ResourceVersion: fmt.Sprint(version)}}
}

func TestAnEventReconcilesItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, reconcile.Options{})
		s.source.Add(pod("x", 0))
		synctest.Wait()
		if s.count() != 1 {
			t.Fatalf("reconciled %d times, want 1", s.count())
		}
		s.source.Delete(pod("x", 0))
		synctest.Wait()
		if s.count() != 2 {
			t.Fatalf("reconciled %d times after the deletion, want 2", s.count())
		}
	})
}

func TestAKeyWaitsForItsOwnWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, reconcile.Options{})
		s.source.Add(pod("first", 0)) // version 1
		synctest.Wait()
		before := s.count()
		s.loop.Wrote(s.pods, reconcile.Key{Name: "a"}, pod("created", 3))
		s.loop.Enqueue(reconcile.Key{Name: "a"})
		s.loop.Enqueue(reconcile.Key{Name: "b"})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := s.runs[before:]; len(got) != 1 || got[0] != "b" {
			t.Fatalf("with a write missing in the cache, reconciled %v; want b alone", got)
		}
		s.source.Add(pod("other", 0)) // version 2: still older than the write
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := s.runs[before:]; len(got) != 1 {
			t.Fatalf("reconciled %v before the cache reached the write", got)
		}
		s.source.Add(pod("created", 0)) // version 3
		synctest.Wait()
		if got := s.runs[before:]; len(got) < 2 || got[1] != "a" {
			t.Fatalf("reconciled %v after the cache reached the write; want b, a", got)
		}
	})
}

func TestAWriteTheCacheHasAlreadyDoesNotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, reconcile.Options{})
		s.source.Add(pod("x", 0))
		synctest.Wait()
		s.loop.Wrote(s.pods, reconcile.Key{Name: "a"}, pod("x", 1))
		if s.loop.Held(reconcile.Key{Name: "a"}) {
			t.Fatal("held for a version that the cache has")
		}
	})
}

func TestAKeyWaitsForItsOwnDeletion(t *testing.T) {
	for name, end := range map[string]func(s *story){
		"gone": func(s *story) { s.source.Delete(pod("x", 0)) },
		"terminating": func(s *story) {
			p := pod("x", 0)
			p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
			s.source.Modify(p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, reconcile.Options{})
				s.source.Add(pod("x", 0))
				synctest.Wait()
				key := reconcile.Key{Name: "a"}
				s.loop.Deleted(s.pods, key, pod("x", 1))
				s.source.Add(pod("y", 0)) // any other progress of the cache does not count
				synctest.Wait()
				if !s.loop.Held(key) {
					t.Fatal("not held although the cache still shows the deleted object alive")
				}
				end(s)
				synctest.Wait()
				if s.loop.Held(key) {
					t.Fatal("held although the cache shows the deletion")
				}
			})
		})
	}
}

func TestFailuresBackOffAndSuccessForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, reconcile.Options{BaseDelay: time.Second, MaxDelay: 4 * time.Second})
		s.act = func(reconcile.Key) (reconcile.Result, error) { return reconcile.Result{}, errors.New("no") }
		s.loop.Enqueue(reconcile.Key{Name: "a"})
		time.Sleep(1*time.Second + 2*time.Second + 4*time.Second + 4*time.Second + time.Millisecond)
		synctest.Wait()
		if s.count() != 5 {
			t.Fatalf("tried %d times, want 5 (after 0, 1, 3, 7 and 11 s)", s.count())
		}
		s.mu.Lock()
		s.act = nil
		s.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.count() != 6 {
			t.Fatalf("tried %d times, want one more success and no more", s.count())
		}
	})
}

func TestEventsDoNotLengthenTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, reconcile.Options{BaseDelay: time.Second, MaxDelay: time.Hour})
		s.act = func(reconcile.Key) (reconcile.Result, error) { return reconcile.Result{}, errors.New("no room") }
		for i := range 30 {
			s.source.Add(pod(fmt.Sprint(i), 0))
			synctest.Wait()
		}
		woken := s.count()
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if tries := s.count() - woken; tries != 3 { // after 1, 3 and 7 seconds
			t.Errorf("%d tries in 8 s after %d by events, want 3", tries, woken)
		}
	})
}

func TestRequeueAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, reconcile.Options{})
		s.act = func(reconcile.Key) (reconcile.Result, error) { return reconcile.Result{RequeueAfter: time.Minute}, nil }
		s.loop.Enqueue(reconcile.Key{Name: "a"})
		time.Sleep(3*time.Minute + time.Second)
		synctest.Wait()
		if s.count() != 4 {
			t.Fatalf("reconciled %d times in 3 minutes, want 4", s.count())
		}
	})
}

func TestSlowStartStopsEarly(t *testing.T) {
	for _, c := range []struct{ count, failAt, calls, done int }{
		{count: 10, failAt: -1, calls: 10, done: 10},
		{count: 1000, failAt: 0, calls: 1, done: 0},
		{count: 1000, failAt: 2, calls: 3, done: 2},
		{count: 0, failAt: -1},
	} {
		var mu sync.Mutex
		calls := 0
		done, err := reconcile.SlowStart(t.Context(), c.count, func(_ context.Context, i int) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if c.failAt >= 0 && i >= c.failAt {
				return errors.New("refused")
			}
			return nil
		})
		if calls != c.calls || done != c.done || (err != nil) != (c.failAt >= 0) {
			t.Errorf("%+v: %d calls, %d done, error %v", c, calls, done, err)
		}
	}
}

// A model check of the gate: whatever the order of writes, deletions and deliveries, a key is held exactly while something of
// its own is missing.
func FuzzGate(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 0, 1, 2, 3, 3})
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 64 {
			steps = steps[:64]
		}
		synctest.Test(t, func(t *testing.T) {
			s := begin(t, reconcile.Options{})
			delivered, written := 0, 0
			missing := map[reconcile.Key]int{}
			for _, b := range steps {
				key := reconcile.Key{Name: string(rune('p' + b/4%3))}
				if b%4 == 0 {
					s.source.Add(pod(fmt.Sprint("n", delivered), 0))
					delivered++
					synctest.Wait()
				} else {
					written = max(written, delivered) + int(b%4) - 1
					if written > 0 {
						s.loop.Wrote(s.pods, key, pod("w", written))
						missing[key] = max(missing[key], written)
					}
				}
				for key, version := range missing {
					if want := version > delivered; s.loop.Held(key) != want {
						t.Fatalf("key %s: held %v with version %d written and %d delivered", key, !want, version, delivered)
					}
				}
			}
		})
	})
}
