// Package queue holds the pods that wait for a node, by when to try them: now, after a back-off, or when something
// happens that may help.
package queue

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// Config of a queue.
type Config struct {
	InitialBackoff, MaxBackoff time.Duration
	// MaxUnschedulable brings back pods that nothing woke for so long: a net below the hints.
	MaxUnschedulable time.Duration
	// Gate refuses pods that may not be considered yet; nil status: considered.
	Gate func(pod *v1.Pod) *framework.Status
	// Wakes tells whether an event may help a pod that the plugins named refused.
	Wakes func(e plugins.Event, pod *snapshot.Pod, refusedBy map[string]bool) bool
	Clock clock.WithTicker
}

// Item is a pod that waits.
type Item struct {
	Pod      *snapshot.Pod
	Attempts int
	Added    time.Time // first time in the queue

	refusedBy map[string]bool
	gated     bool
	until     time.Time // end of the back-off
	tried     time.Time // last attempt's end
	index     int       // in the heap that holds it, or -1
	where     place
}

type place int

const (
	nowhere place = iota
	active
	backoff
	unschedulable
)

// Queue is safe for concurrent use.
type Queue struct {
	config Config

	mu       sync.Mutex
	items    map[types.UID]*Item
	active   itemHeap
	backoff  itemHeap
	waiting  map[types.UID]*Item            // unschedulable, and not gated
	promised map[string]map[types.UID]*Item // by the name of the node that status.nominatedNodeName promises
	inFlight map[types.UID][]plugins.Event  // events while the pod is being decided upon
	swept    time.Time                      // when pods that nothing woke were last looked for
	wake     chan struct{}

	// nominations is the number of promised items, for readers without the lock: most clusters have none.
	nominations atomic.Int64
}

// New returns an empty queue.
func New(c Config) *Queue {
	return &Queue{
		config: c, items: map[types.UID]*Item{}, inFlight: map[types.UID][]plugins.Event{}, wake: make(chan struct{}, 1),
		waiting: map[types.UID]*Item{}, promised: map[string]map[types.UID]*Item{},
		active: itemHeap{less: byPriority}, backoff: itemHeap{less: func(a, b *Item) bool { return a.until.Before(b.until) }},
	}
}

// byPriority puts important pods first, then those that wait longest.
func byPriority(a, b *Item) bool {
	if pa, pb := priority(a.Pod.Pod), priority(b.Pod.Pod); pa != pb {
		return pa > pb
	}
	return a.Added.Before(b.Added)
}

func priority(p *v1.Pod) int32 {
	if p.Spec.Priority != nil {
		return *p.Spec.Priority
	}
	return 0
}

// Add takes a new pod.
func (q *Queue) Add(pod *v1.Pod) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if have := q.items[pod.UID]; have != nil {
		q.update(have, pod)
		return
	}
	item := &Item{Pod: snapshot.NewPod(pod), Added: q.config.Clock.Now(), index: -1}
	q.items[pod.UID] = item
	q.promise(item)
	q.admit(item)
}

// admit puts the item where its gates say.
func (q *Queue) admit(item *Item) {
	if q.config.Gate != nil {
		if s := q.config.Gate(item.Pod.Pod); !s.IsSuccess() {
			item.gated = true
			item.refusedBy = map[string]bool{s.Plugin(): true}
			q.move(item, unschedulable)
			return
		}
	}
	item.gated = false
	q.move(item, active)
}

// Update takes a pod's newer version. A change of what plugins look at wakes it.
func (q *Queue) Update(old, pod *v1.Pod) {
	q.mu.Lock()
	defer q.mu.Unlock()
	item := q.items[pod.UID]
	if item == nil {
		return
	}
	q.update(item, pod)
}

func (q *Queue) update(item *Item, pod *v1.Pod) {
	old := item.Pod.Pod
	q.unpromise(item)
	item.Pod = snapshot.NewPod(pod)
	q.promise(item)
	if item.where == active || item.where == backoff {
		q.move(item, item.where)
		return
	}
	if item.where == nowhere {
		q.inFlight[pod.UID] = append(q.inFlight[pod.UID], selfEvents(old, pod)...)
		return
	}
	if item.gated {
		q.admit(item)
		return
	}
	for _, e := range selfEvents(old, pod) {
		if q.config.Wakes(e, item.Pod, item.refusedBy) {
			q.retry(item)
			return
		}
	}
}

// Delete forgets a pod that has a node, or is gone.
func (q *Queue) Delete(uid types.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if item := q.items[uid]; item != nil {
		q.forget(item)
	}
	delete(q.inFlight, uid)
}

// forget drops everything that is known of the item.
func (q *Queue) forget(item *Item) {
	q.move(item, nowhere)
	q.unpromise(item)
	delete(q.items, item.Pod.UID)
}

// Pop waits for the next pod. It returns nil when ctx ends.
func (q *Queue) Pop(ctx context.Context) *Item {
	for {
		q.mu.Lock()
		q.ripen()
		if q.active.Len() > 0 {
			item := q.active.items[0]
			q.move(item, nowhere)
			item.Attempts++
			q.inFlight[item.Pod.UID] = []plugins.Event{}
			q.mu.Unlock()
			return item
		}
		timer := q.nextTimer()
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-q.wake:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// ripen moves pods whose time has come to the active ones.
func (q *Queue) ripen() {
	now := q.config.Clock.Now()
	for q.backoff.Len() > 0 && !q.backoff.items[0].until.After(now) {
		q.move(q.backoff.items[0], active)
	}
	if q.config.MaxUnschedulable <= 0 || now.Sub(q.swept) < min(sweepInterval, q.config.MaxUnschedulable) {
		return
	}
	q.swept = now
	for _, item := range q.waiting {
		if now.Sub(item.tried) >= q.config.MaxUnschedulable {
			q.retry(item)
		}
	}
}

// sweepInterval is how often pods that nothing woke are looked for.
const sweepInterval = 30 * time.Second

func (q *Queue) nextTimer() clock.Timer {
	wait := q.config.MaxUnschedulable
	if wait <= 0 {
		wait = time.Minute
	}
	wait = min(wait, sweepInterval)
	if q.backoff.Len() > 0 {
		wait = min(wait, q.backoff.items[0].until.Sub(q.config.Clock.Now()))
	}
	return q.config.Clock.NewTimer(max(wait, 0))
}

// Done ends the attempt for a pod that got its node.
func (q *Queue) Done(item *Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.inFlight, item.Pod.UID)
	if q.items[item.Pod.UID] == item {
		q.forget(item)
	}
}

// Failed ends an attempt without success: the pod waits for an event that may help, unless one came during the
// attempt, or refusedBy is empty after an error, when it waits for its back-off alone.
func (q *Queue) Failed(item *Item, refusedBy map[string]bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.inFlight[item.Pod.UID]
	delete(q.inFlight, item.Pod.UID)
	if q.items[item.Pod.UID] != item {
		return // deleted meanwhile
	}
	item.refusedBy = refusedBy
	item.tried = q.config.Clock.Now()
	item.until = item.tried.Add(q.backoffOf(item))
	if len(refusedBy) == 0 {
		q.move(item, backoff)
		return
	}
	for _, e := range events {
		if q.config.Wakes(e, item.Pod, refusedBy) {
			q.retry(item)
			return
		}
	}
	q.move(item, unschedulable)
}

// backoffOf doubles with each attempt.
func (q *Queue) backoffOf(item *Item) time.Duration {
	d := q.config.InitialBackoff
	for i := 1; i < item.Attempts && d < q.config.MaxBackoff; i++ {
		d *= 2
	}
	return min(d, q.config.MaxBackoff)
}

// retry brings a pod back, after what is left of its back-off.
func (q *Queue) retry(item *Item) {
	if item.until.After(q.config.Clock.Now()) {
		q.move(item, backoff)
	} else {
		q.move(item, active)
	}
}

// Happened wakes the pods that the event may help.
func (q *Queue) Happened(e plugins.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for uid := range q.inFlight {
		q.inFlight[uid] = append(q.inFlight[uid], e)
	}
	for _, item := range q.waiting {
		if q.config.Wakes(e, item.Pod, item.refusedBy) {
			q.retry(item)
		}
	}
}

// Pending counts the pods that are active, in back-off, unschedulable and gated.
func (q *Queue) Pending() (activeCount, backoffCount, unschedulableCount, gatedCount int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, item := range q.items {
		switch {
		case item.where == active:
			activeCount++
		case item.where == backoff:
			backoffCount++
		case item.gated:
			gatedCount++
		case item.where == unschedulable:
			unschedulableCount++
		}
	}
	return
}

// Nominated gives the waiting pods that were promised room on the node.
func (q *Queue) Nominated(node string) []*snapshot.Pod {
	if q.nominations.Load() == 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var pods []*snapshot.Pod
	for _, item := range q.promised[node] {
		pods = append(pods, item.Pod)
	}
	return pods
}

// promise notes the node that the item's pod was promised room on, unpromise forgets it.
func (q *Queue) promise(item *Item) {
	node := item.Pod.Status.NominatedNodeName
	if node == "" {
		return
	}
	if q.promised[node] == nil {
		q.promised[node] = map[types.UID]*Item{}
	}
	q.promised[node][item.Pod.UID] = item
	q.nominations.Add(1)
}

func (q *Queue) unpromise(item *Item) {
	node := item.Pod.Status.NominatedNodeName
	if q.promised[node][item.Pod.UID] == nil {
		return
	}
	delete(q.promised[node], item.Pod.UID)
	if len(q.promised[node]) == 0 {
		delete(q.promised, node)
	}
	q.nominations.Add(-1)
}

func (q *Queue) move(item *Item, to place) {
	switch item.where {
	case active:
		heap.Remove(&q.active, item.index)
	case backoff:
		heap.Remove(&q.backoff, item.index)
	case unschedulable:
		delete(q.waiting, item.Pod.UID)
	}
	item.where = to
	switch to {
	case active:
		heap.Push(&q.active, item)
	case backoff:
		heap.Push(&q.backoff, item)
	case unschedulable:
		if !item.gated {
			q.waiting[item.Pod.UID] = item
		}
		return
	default:
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// itemHeap is a heap of items that know their places.
type itemHeap struct {
	items []*Item
	less  func(a, b *Item) bool
}

func (h *itemHeap) Len() int           { return len(h.items) }
func (h *itemHeap) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }
func (h *itemHeap) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].index, h.items[j].index = i, j
}
func (h *itemHeap) Push(x any) {
	item := x.(*Item)
	item.index = len(h.items)
	h.items = append(h.items, item)
}
func (h *itemHeap) Pop() any {
	last := len(h.items) - 1
	item := h.items[last]
	h.items = h.items[:last]
	item.index = -1
	return item
}
