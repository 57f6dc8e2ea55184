package kinds

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

// Kind is one kind of object in the version that the server prefers.
type Kind struct {
	schema.GroupVersionResource
	Kind       schema.GroupVersionKind
	Namespaced bool
}

// Handler is told what happens to objects. Calls for one kind come in order; calls for different kinds come in parallel.
type Handler struct {
	// Changed: obj was added or updated; old is nil when it was added.
	Changed func(k Kind, old, obj metav1.Object)
	// Gone: obj, as last known, was deleted, or k is no longer served in this version. In the latter case a Changed in
	// another version may have come before.
	Gone func(k Kind, obj metav1.Object)
	// Kinds, if set, is called after the set of kinds has changed, before Gone for the objects of those that went.
	Kinds func()
}

// Preferred is discovery of the kinds that a server has, each in the version it prefers.
type Preferred interface {
	ServerPreferredResources() ([]*metav1.APIResourceList, error)
}

// Config of a Watcher.
type Config struct {
	Metadata  metadata.Interface
	Discovery Preferred
	// Full returns the running informer of a kind that is read in full for another reason, or nil.
	Full func(schema.GroupVersionResource) cache.SharedIndexInformer
	// Tweak, if set, changes the options of lists and watches.
	Tweak func(*metav1.ListOptions)
	// Clock times discovery; the real one when nil.
	Clock clock.WithTicker
}

// Watcher holds an informer for every kind that can be listed, watched and deleted.
type Watcher struct {
	Config
	handlers []Handler
	refresh  chan struct{}

	mu       sync.Mutex
	monitors map[schema.GroupVersionResource]*monitor
	known    bool // discovery has answered at least once
}

type monitor struct {
	kind     Kind
	informer cache.SharedIndexInformer
	synced   func() bool
	since    time.Time
	stop     func() // no call of a handler comes after it
}

// Discovery is repeated when a definition of kinds changes, some times because what it defines is served a moment later, and
// at long intervals besides.
const interval = time.Minute

func settling() []time.Duration {
	return []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 10 * time.Second}
}

// New returns a watcher that watches nothing before Run.
func New(c Config) *Watcher {
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	return &Watcher{Config: c, refresh: make(chan struct{}, 1), monitors: map[schema.GroupVersionResource]*monitor{}}
}

// Subscribe adds a handler; call it before Run.
func (w *Watcher) Subscribe(h Handler) { w.handlers = append(w.handlers, h) }

// Run follows the kinds until ctx ends. Without subscribers it does nothing.
func (w *Watcher) Run(ctx context.Context) {
	if len(w.handlers) == 0 {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	pause := time.Duration(0)
	retries := settling()
	for {
		timer := w.Clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.refresh:
			timer.Stop()
			retries, pause = settling(), 50*time.Millisecond
			continue
		case <-timer.C():
		}
		complete := w.discover(ctx, &running)
		pause = interval
		if len(retries) > 0 {
			pause, retries = retries[0], retries[1:]
		} else if !complete {
			pause = 10 * time.Second
		}
	}
}

// Refresh asks for discovery soon.
func (w *Watcher) Refresh() {
	select {
	case w.refresh <- struct{}{}:
	default:
	}
}

// ignored kinds own nothing, are owned by nothing that matters, and come in numbers.
func ignored(r schema.GroupResource) bool {
	return r.Resource == "events" && (r.Group == "" || r.Group == "events.k8s.io")
}

// defines tells whether objects of r define kinds.
func defines(r schema.GroupResource) bool {
	return r == schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"} ||
		r == schema.GroupResource{Group: "apiregistration.k8s.io", Resource: "apiservices"}
}

// Deletable returns the kinds of lists that can be listed, watched and deleted.
func Deletable(lists []*metav1.APIResourceList) map[schema.GroupVersionResource]Kind {
	out := map[schema.GroupVersionResource]Kind{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range l.APIResources {
			gvr := gv.WithResource(r.Name)
			if strings.Contains(r.Name, "/") || ignored(gvr.GroupResource()) ||
				!slices.Contains(r.Verbs, "delete") || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "watch") {
				continue
			}
			out[gvr] = Kind{GroupVersionResource: gvr, Kind: gv.WithKind(r.Kind), Namespaced: r.Namespaced}
		}
	}
	return out
}

// discover brings the informers in line with what the server has; it reports whether every group answered.
func (w *Watcher) discover(ctx context.Context, running *sync.WaitGroup) bool {
	lists, err := w.Discovery.ServerPreferredResources()
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Discovery is incomplete", "reason", err.Error())
		if len(lists) == 0 {
			return false
		}
	}
	wanted := Deletable(lists)
	// A kind that moves to another version is not followed in both: the later call would win, whichever it is.
	dropped := w.outdated(wanted, err == nil)
	for _, m := range dropped {
		m.stop()
		klog.FromContext(ctx).V(2).Info("Kind is no longer served", "resource", m.kind.String())
	}
	w.mu.Lock()
	changed := !w.known || len(dropped) > 0
	w.known = true
	for _, m := range dropped {
		delete(w.monitors, m.kind.GroupVersionResource)
	}
	for gvr, kind := range wanted {
		if w.monitors[gvr] == nil {
			w.monitors[gvr] = w.start(ctx, kind, running)
			changed = true
		}
	}
	w.mu.Unlock()
	if changed {
		for _, h := range w.handlers {
			if h.Kinds != nil {
				h.Kinds()
			}
		}
	}
	for _, m := range dropped {
		for _, obj := range m.informer.GetStore().List() {
			w.gone(m.kind, obj)
		}
	}
	return err == nil
}

// outdated are the monitors of kinds that are no longer wanted in their version. From a partial answer it does not follow
// that a kind is gone, unless it has it in another version.
func (w *Watcher) outdated(wanted map[schema.GroupVersionResource]Kind, complete bool) []*monitor {
	elsewhere := map[schema.GroupResource]bool{}
	for gvr := range wanted {
		elsewhere[gvr.GroupResource()] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*monitor
	for gvr, m := range w.monitors {
		if _, stays := wanted[gvr]; !stays && (complete || elsewhere[gvr.GroupResource()]) {
			out = append(out, m)
		}
	}
	return out
}

func (w *Watcher) start(ctx context.Context, kind Kind, running *sync.WaitGroup) *monitor {
	m := &monitor{kind: kind, since: w.Clock.Now(), stop: func() {}}
	if w.Full != nil {
		m.informer = w.Full(kind.GroupVersionResource)
	}
	own := m.informer == nil
	if own {
		m.informer = metadatainformer.NewFilteredMetadataInformer(w.Metadata, kind.GroupVersionResource, "", 0,
			cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}, w.Tweak).Informer()
		if err := m.informer.SetTransform(trim); err != nil {
			klog.FromContext(ctx).Error(err, "Metadata is kept whole", "resource", kind.String())
		}
	}
	registration, err := m.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { w.changed(kind, nil, obj) },
		UpdateFunc: func(old, obj any) { w.changed(kind, old, obj) },
		DeleteFunc: func(obj any) { w.gone(kind, reconcile.Unwrap(obj)) },
	})
	if err != nil {
		m.synced = func() bool { return true }
		return m
	}
	m.synced = registration.HasSynced
	if own {
		watching, cancel := context.WithCancel(ctx)
		silent := make(chan struct{})
		m.stop = func() { cancel(); <-silent }
		running.Go(func() { defer close(silent); m.informer.RunWithContext(watching) })
	} else {
		m.stop = func() { _ = m.informer.RemoveEventHandler(registration) }
	}
	return m
}

// trim drops what nobody reads.
func trim(obj any) (any, error) {
	if o, ok := obj.(*metav1.PartialObjectMetadata); ok {
		o.Annotations, o.Labels, o.ManagedFields, o.GenerateName = nil, nil, nil, ""
		o.TypeMeta = metav1.TypeMeta{}
	}
	return obj, nil
}

func (w *Watcher) changed(kind Kind, old, obj any) {
	o, err := meta.Accessor(obj)
	if err != nil {
		return
	}
	var before metav1.Object
	if old != nil {
		if before, err = meta.Accessor(old); err != nil {
			return
		}
	}
	for _, h := range w.handlers {
		h.Changed(kind, before, o)
	}
	if defines(kind.GroupResource()) && (before == nil || before.GetResourceVersion() != o.GetResourceVersion()) {
		w.Refresh()
	}
}

func (w *Watcher) gone(kind Kind, obj any) {
	o, err := meta.Accessor(obj)
	if err != nil {
		return
	}
	for _, h := range w.handlers {
		h.Gone(kind, o)
	}
	if defines(kind.GroupResource()) {
		w.Refresh()
	}
}

// Settled tells whether every kind has been listed. A kind whose list fails for longer than patience (a conversion webhook
// that does not answer, say) does not hold up the others; pass a negative patience to wait for it all the same.
func (w *Watcher) Settled(patience time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return false
	}
	for _, m := range w.monitors {
		if !m.synced() && (patience < 0 || w.Clock.Since(m.since) < patience) {
			return false
		}
	}
	return true
}

// Count returns how many objects of a kind are in a namespace; known is false when the kind is not served or not listed yet.
func (w *Watcher) Count(r schema.GroupResource, namespace string) (count int, known bool) {
	w.mu.Lock()
	var m *monitor
	for gvr, candidate := range w.monitors {
		if gvr.GroupResource() == r {
			m = candidate
		}
	}
	w.mu.Unlock()
	if m == nil || !m.synced() {
		return 0, false
	}
	keys, err := m.informer.GetIndexer().IndexKeys(cache.NamespaceIndex, namespace)
	return len(keys), err == nil
}

// Served tells whether the server keeps objects of r; known is false before discovery has answered.
func (w *Watcher) Served(r schema.GroupResource) (served, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for gvr := range w.monitors {
		if gvr.GroupResource() == r {
			return true, w.known
		}
	}
	return false, w.known
}
