package objects

import (
	"context"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// entry is one object and its watch. It is the reflector's store: it holds at most one object.
type entry struct {
	ref    ref
	users  map[types.UID]struct{} // guarded by Store.mu
	close  context.CancelFunc
	notify func(*entry)

	once   sync.Once
	synced chan struct{} // closed by the first complete list

	mu  sync.Mutex
	obj runtime.Object
	err error
}

// open starts the watch of one object. The caller holds s.mu.
func (s *Store) open(r ref) *entry {
	ctx, cancel := context.WithCancel(s.ctx)
	e := &entry{ref: r, users: map[types.UID]struct{}{}, close: cancel, notify: s.notify, synced: make(chan struct{})}
	reflector := cache.NewReflectorWithOptions(e.source(s), e.expected(), e, cache.ReflectorOptions{Name: "kubelet " + string(r.kind), Backoff: retrySoon()})
	go reflector.RunWithContext(ctx)
	return e
}

// retrySoon begins with short pauses: a pod can reach its node before the Node authorizer has heard that the pod's
// objects are the node's to read, and that lasts for milliseconds.
func retrySoon() *wait.Backoff {
	return &wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 12, Cap: 30 * time.Second}
}

func (e *entry) expected() runtime.Object {
	if e.ref.kind == secrets {
		return &v1.Secret{}
	}
	return &v1.ConfigMap{}
}

// source lists and watches the one object.
func (e *entry) source(s *Store) cache.ListerWatcher {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, e.ref.name).String()
	core := s.client.CoreV1()
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			var list runtime.Object
			var err error
			if e.ref.kind == secrets {
				list, err = core.Secrets(e.ref.namespace).List(ctx, o)
			} else {
				list, err = core.ConfigMaps(e.ref.namespace).List(ctx, o)
			}
			return list, e.remember(err)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			var w watch.Interface
			var err error
			if e.ref.kind == secrets {
				w, err = core.Secrets(e.ref.namespace).Watch(ctx, o)
			} else {
				w, err = core.ConfigMaps(e.ref.namespace).Watch(ctx, o)
			}
			return w, e.remember(err)
		},
	}, s.client)
}

func (e *entry) remember(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
	return err
}

func (e *entry) lastError() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *entry) current() runtime.Object {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.obj
}

// set takes over what the watch says. An immutable object needs no watch any more.
func (e *entry) set(obj runtime.Object) {
	e.mu.Lock()
	changed := version(e.obj) != version(obj)
	e.obj = obj
	e.mu.Unlock()
	first := false
	e.once.Do(func() { first = true; close(e.synced) })
	if changed && !first {
		e.notify(e)
	}
	if immutable(obj) {
		e.close()
	}
}

// Add, Update, Delete and Replace make entry a cache.ReflectorStore.
func (e *entry) Add(obj any) error    { e.set(obj.(runtime.Object)); return nil }
func (e *entry) Update(obj any) error { e.set(obj.(runtime.Object)); return nil }
func (e *entry) Delete(any) error     { e.set(nil); return nil }
func (e *entry) Resync() error        { return nil }

func (e *entry) Replace(list []any, _ string) error {
	if len(list) == 0 {
		e.set(nil)
		return nil
	}
	e.set(list[0].(runtime.Object))
	return nil
}

func version(obj runtime.Object) string {
	switch o := obj.(type) {
	case *v1.Secret:
		return string(o.UID) + "/" + o.ResourceVersion
	case *v1.ConfigMap:
		return string(o.UID) + "/" + o.ResourceVersion
	}
	return ""
}

func immutable(obj runtime.Object) bool {
	switch o := obj.(type) {
	case *v1.Secret:
		return o.Immutable != nil && *o.Immutable
	case *v1.ConfigMap:
		return o.Immutable != nil && *o.Immutable
	}
	return false
}
