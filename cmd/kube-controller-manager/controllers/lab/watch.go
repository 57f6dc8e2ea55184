package lab

import (
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
)

// stream is one watch: events wait in a queue without limit, and go out while their resource is not frozen.
type stream struct {
	lab      *Lab
	resource string
	convert  func(runtime.Object) runtime.Object
	out      chan watch.Event
	wake     chan struct{}
	done     chan struct{}
	once     sync.Once

	mu    sync.Mutex
	queue []watch.Event
}

func (l *Lab) watch(action clienttesting.Action) (bool, watch.Interface, error) {
	return true, l.open(action, func(obj runtime.Object) runtime.Object { return obj }), nil
}

// open starts a watch whose objects are passed through convert.
func (l *Lab) open(action clienttesting.Action, convert func(runtime.Object) runtime.Object) watch.Interface {
	l.mu.Lock()
	defer l.mu.Unlock()
	gvr := action.GetResource()
	s := &stream{lab: l, convert: convert, resource: gvr.Resource, out: make(chan watch.Event), wake: make(chan struct{}, 1), done: make(chan struct{})}
	// What changed between the list and this watch is replayed; deletions in between do not happen in a test's set-up.
	if a, ok := action.(clienttesting.WatchActionImpl); ok {
		from, _ := strconv.ParseInt(a.GetWatchRestrictions().ResourceVersion, 10, 64)
		for _, obj := range l.objects[gvr] {
			if rv, _ := strconv.ParseInt(accessor(obj).GetResourceVersion(), 10, 64); from > 0 && rv > from {
				s.queue = append(s.queue, watch.Event{Type: watch.Added, Object: obj.DeepCopyObject()})
			}
		}
	}
	l.streams[gvr] = append(l.streams[gvr], s)
	go s.run()
	s.signal()
	return s
}

func (l *Lab) send(gvr schema.GroupVersionResource, e watch.Event) {
	l.streams[gvr] = slices.DeleteFunc(l.streams[gvr], func(s *stream) bool {
		select {
		case <-s.done:
			return true
		default:
			return false
		}
	})
	for _, s := range l.streams[gvr] {
		s.mu.Lock()
		s.queue = append(s.queue, watch.Event{Type: e.Type, Object: e.Object.DeepCopyObject()})
		s.mu.Unlock()
		s.signal()
	}
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) run() {
	defer close(s.out)
	for {
		select {
		case <-s.wake:
		case <-s.done:
			return
		}
		for {
			e, ok := s.next()
			if !ok {
				break
			}
			select {
			case s.out <- e:
			case <-s.done:
				return
			}
		}
	}
}

func (s *stream) next() (watch.Event, bool) {
	s.lab.mu.Lock()
	frozen := s.lab.frozen["*"] || s.lab.frozen[s.resource]
	s.lab.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if frozen || len(s.queue) == 0 {
		return watch.Event{}, false
	}
	e := s.queue[0]
	s.queue = s.queue[1:]
	e.Object = s.convert(e.Object)
	return e, true
}

func (s *stream) close() { s.once.Do(func() { close(s.done) }) }

// Stop ends the watch.
func (s *stream) Stop() { s.close() }

// ResultChan returns the events.
func (s *stream) ResultChan() <-chan watch.Event { return s.out }
