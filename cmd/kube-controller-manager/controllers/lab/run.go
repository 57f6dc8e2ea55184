package lab

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Run runs a controller over the lab's informers, and own ones, until the test ends or stop is called; it returns when the
// controller has nothing to do.
func (l *Lab) Run(t testing.TB, loop interface{ Run(ctx context.Context) }, own ...cache.SharedIndexInformer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l.Informers.StartWithContext(ctx)
	var group sync.WaitGroup
	for _, inf := range own {
		group.Go(func() { inf.RunWithContext(ctx) })
	}
	group.Go(func() { loop.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); group.Wait(); l.Informers.Shutdown() })
	t.Cleanup(stop)
	synctest.Wait()
	return stop
}

// Seed stores objects as they are, but for a UID, which is the name where there is none.
func (l *Lab) Seed(objects ...runtime.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, obj := range objects {
		gvr, _ := meta.UnsafeGuessKindToResource(mustKind(obj))
		obj = obj.DeepCopyObject()
		if m := accessor(obj); m.GetUID() == "" {
			m.SetUID(types.UID(m.GetName()))
		}
		l.store(gvr, obj, watch.Added)
	}
}

// MadeOnce starts a controller that makes one object of the resource, loses the answer to that while its cache is frozen, and shows
// that the object is not made again, neither then nor after the thaw.
func (l *Lab) MadeOnce(t testing.TB, resource string, start func()) {
	t.Helper()
	l.Freeze(resource)
	l.Lose("create " + resource)
	start()
	for _, when := range []string{"under a frozen cache", "after the thaw"} {
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := l.Count("create " + resource); n != 1 {
			t.Errorf("%s: %d %s made", when, n, resource)
		}
		l.Thaw()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}
