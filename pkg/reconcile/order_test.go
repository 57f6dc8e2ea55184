package reconcile_test

import (
	"context"
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

// TestWhatHappensGoesBeforeWhatIsThere: with 10,000 objects at the start, 10 ms of work each, a change is acted on at once, and not
// after 100 seconds; all others have their turn too.
func TestWhatHappensGoesBeforeWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects, work = 10000, 10 * time.Millisecond
		source := cachetesting.NewFakeControllerSource()
		for i := range objects {
			source.Add(numbered(i, ""))
		}
		pods := cache.NewSharedIndexInformer(source, &v1.Pod{}, 0, cache.Indexers{})
		var mu sync.Mutex
		done := map[string]time.Time{}
		loop := reconcile.New("order", reconcile.Func(func(_ context.Context, key reconcile.Key) (reconcile.Result, error) {
			time.Sleep(work)
			mu.Lock()
			defer mu.Unlock()
			done[key.Name] = time.Now()
			return reconcile.Result{}, nil
		}), reconcile.Options{})
		loop.Watch(pods, reconcile.ObjectKey)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		defer func() { cancel(); source.Shutdown(); group.Wait() }()
		group.Go(func() { pods.RunWithContext(ctx) })
		group.Go(func() { loop.Run(ctx) })
		at := func(name string) time.Time {
			mu.Lock()
			defer mu.Unlock()
			return done[name]
		}
		time.Sleep(time.Second + work/2)
		for _, c := range []struct {
			what string
			act  func()
			name string
		}{
			{"a new object", func() { source.Add(numbered(objects, "")) }, fmt.Sprint("p", objects)},
			{"a change of one that waits", func() { source.Modify(numbered(objects-1, "changed")) }, fmt.Sprint("p", objects-1)},
		} {
			began := time.Now()
			c.act()
			time.Sleep(10 * work)
			if took := at(c.name).Sub(began); took <= 0 || took > 3*work {
				t.Errorf("%s was acted on after %v", c.what, took)
			}
		}
		// While changes never cease, what waits goes on.
		mu.Lock()
		before := len(done)
		mu.Unlock()
		for i := range 1000 {
			source.Modify(numbered(0, fmt.Sprint(i)))
			source.Modify(numbered(1, fmt.Sprint(i)))
			time.Sleep(2 * work)
		}
		mu.Lock()
		if more := len(done) - before; more < 150 {
			t.Errorf("among 2,000 changes %d of those that waited had their turn", more)
		}
		mu.Unlock()
		time.Sleep(objects * work)
		mu.Lock()
		if len(done) != objects+1 {
			t.Errorf("%d of %d objects were reconciled", len(done), objects+1)
		}
		mu.Unlock()
	})
}

func numbered(i int, label string) *v1.Pod {
	name := fmt.Sprint("p", i)
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), Labels: map[string]string{"l": label}}}
}
