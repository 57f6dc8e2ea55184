package durability

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// watcher follows all ConfigMaps of the namespace over broken connections, as a reflector does: it goes on from the last
// resource version that it saw, and lists anew when the server no longer knows that.
type watcher struct {
	client    kubernetes.Interface
	namespace string

	mu     sync.Mutex
	last   uint64            // resource version up to which everything was seen
	seen   map[uint64]bool   // resource versions of events
	gaps   [][2]uint64       // between them, a list stands for the events
	state  map[string]string // value by name
	faults []string
	broken int
}

func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		if w.last == 0 {
			w.list(ctx)
			continue
		}
		stream, err := w.client.CoreV1().ConfigMaps(w.namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: fmt.Sprint(w.last), AllowWatchBookmarks: true})
		if err != nil {
			w.fail(err)
			continue
		}
		for e := range stream.ResultChan() {
			w.event(e)
		}
		stream.Stop()
		w.mu.Lock()
		w.broken++
		w.mu.Unlock()
	}
}

// fail makes the watcher list again when its resource version is too old; everything else is tried again.
func (w *watcher) fail(err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		w.mu.Lock()
		w.gaps = append(w.gaps, [2]uint64{w.last, 0})
		w.last = 0
		w.mu.Unlock()
	}
}

func (w *watcher) list(ctx context.Context) {
	list, err := w.client.CoreV1().ConfigMaps(w.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = number(list.ResourceVersion)
	if n := len(w.gaps); n > 0 {
		w.gaps[n-1][1] = w.last
	}
	w.state = map[string]string{}
	for _, c := range list.Items {
		w.state[c.Name] = c.Data["v"]
	}
}

func (w *watcher) event(e watch.Event) {
	if e.Type == watch.Error {
		w.fail(apierrors.FromObject(e.Object))
		return
	}
	c := e.Object.(*v1.ConfigMap)
	version := number(c.ResourceVersion)
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Type == watch.Bookmark {
		w.last = max(w.last, version)
		return
	}
	if version <= w.last {
		w.faults = append(w.faults, fmt.Sprintf("event %s of %s at %d came after %d", e.Type, c.Name, version, w.last))
	}
	w.last = version
	w.seen[version] = true
	w.state[c.Name] = c.Data["v"]
}

// missed tells whether a write at a resource version should have come as an event, and did not.
func (w *watcher) missed(version, from uint64) bool {
	if version <= from || w.seen[version] {
		return false
	}
	for _, gap := range w.gaps {
		if gap[0] < version && version <= gap[1] {
			return false
		}
	}
	return true
}

func number(version string) uint64 {
	n, _ := strconv.ParseUint(version, 10, 64) // resource versions of this server are etcd's revisions
	return n
}
