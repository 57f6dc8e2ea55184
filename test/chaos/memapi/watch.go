package memapi

import (
	"encoding/json"
	"io"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// bookmarks is how often an idle watch tells the version it has come to.
const bookmarks = 20 * time.Second

// stream is one watch of one client.
type stream struct {
	server  *Server
	kind    Kind
	sel     selection
	view    View
	form    func(*Object) any
	initial []*Object // sent before everything else
	from    int64
	// streamed: the client asked for the initial objects, and for a bookmark at their end.
	streamed, bookmarks bool
	end                 time.Time // zero: never

	out  *io.PipeWriter
	stop <-chan struct{}
}

// body is the client's end of a stream.
type body struct {
	*io.PipeReader
	stop func()
}

// Close implements io.Closer.
func (b body) Close() error {
	b.stop()
	return b.PipeReader.Close()
}

// open starts the stream and returns what the client reads.
func (st *stream) open() io.ReadCloser {
	r, w := io.Pipe()
	stop := make(chan struct{})
	st.out, st.stop = w, stop
	go st.run()
	return body{r, sync.OnceFunc(func() { close(stop) })}
}

func (st *stream) run() {
	defer st.out.Close()
	for _, o := range st.initial {
		if !st.send(watch.Added, st.form(o)) {
			return
		}
	}
	if st.streamed && !st.bookmark(st.from, map[string]string{metav1.InitialEventsAnnotationKey: "true"}) {
		return
	}
	next := 0 // index in the log of the kind
	for {
		st.server.mu.Lock()
		log := st.server.kindLog[st.kind.id()]
		for next < len(log.events) && log.events[next].Version <= st.from {
			next++
		}
		pending, more, version := log.events[next:], log.more, st.server.version
		st.server.mu.Unlock()
		if len(pending) == 0 {
			if !st.idle(more, version) {
				return
			}
			continue
		}
		e := pending[0]
		if wait := time.Until(visibleAt(st.view, st.kind, e.Time)); wait > 0 {
			if !st.pause(wait) {
				return
			}
			continue
		}
		next++
		st.from = e.Version
		if kind, o := st.sel.seen(e); o != nil && !st.send(kind, st.form(o)) {
			return
		}
	}
}

// idle waits for a commit, and sends bookmarks meanwhile.
func (st *stream) idle(more <-chan struct{}, version int64) bool {
	timer := time.NewTimer(bookmarks)
	defer timer.Stop()
	var end <-chan time.Time
	if !st.end.IsZero() {
		ending := time.NewTimer(time.Until(st.end))
		defer ending.Stop()
		end = ending.C
	}
	select {
	case <-st.stop:
		return false
	case <-end:
		return false
	case <-more:
		return true
	case now := <-timer.C:
		if !st.bookmarks || visibleAt(st.view, st.kind, now).After(now) {
			return true
		}
		// What was committed of this kind since then comes after the bookmark, with a higher version.
		st.from = max(st.from, version)
		return st.bookmark(st.from, nil)
	}
}

func (st *stream) pause(d time.Duration) bool {
	if !st.end.IsZero() {
		d = min(d, max(0, time.Until(st.end)))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-st.stop:
		return false
	case <-timer.C:
		return st.end.IsZero() || time.Now().Before(st.end)
	}
}

func (st *stream) bookmark(version int64, annotations map[string]string) bool {
	o := &Object{Object: map[string]any{"metadata": map[string]any{}}}
	o.SetAPIVersion(st.kind.GroupVersion().String())
	o.SetKind(st.kind.Kind)
	o.SetResourceVersion(strconv.FormatInt(version, 10))
	o.SetAnnotations(annotations)
	return st.send(watch.Bookmark, st.form(o))
}

func (st *stream) send(kind watch.EventType, object any) bool {
	data, err := json.Marshal(map[string]any{"type": kind, "object": object})
	if err != nil {
		return false
	}
	_, err = st.out.Write(append(data, '\n'))
	return err == nil
}
