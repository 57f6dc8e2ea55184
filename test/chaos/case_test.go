package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"pilotis.dev/cmd/kube-controller-manager/app"
	"pilotis.dev/cmd/kube-controller-manager/table"
	"pilotis.dev/test/chaos/faults"
	"pilotis.dev/test/chaos/memapi"
)

const (
	// faultsLast is how long things go wrong, by the virtual clock.
	faultsLast = 4 * time.Minute
	// patience is how long the controllers have to finish after that: the longest back-off is 5 minutes.
	patience = 30 * time.Minute
	// rest is how long nothing may be written when all is done, and restRestarted the same after a last start.
	restLast, restRestarted = 7 * time.Minute, 2 * time.Minute
)

// World is a cluster in which controllers are tried.
type World struct {
	// With are further controllers that the process runs.
	With []string
	// Begin makes the first objects and sets up what the world keeps in its closures.
	Begin func(c *Case)
	// Steps are what users do, one after the other, at times that the seed decides, while things go wrong.
	Steps []func(c *Case)
	// Check is told each commit and reports with c.Wrong what must never be.
	Check func(c *Case, e memapi.Event)
	// Done returns what is missing still when the faults are over.
	Done func(c *Case) error
	// Configure changes the daemon's configuration.
	Configure func(o *app.Config)
	// Rest is how many writes are in order in the quiet time at the end, and after a last start; for controllers that work by the clock.
	Rest int
	// Lasting is how long faults last, faultsLast if 0.
	Lasting time.Duration
}

// Case is one run of a world.
type Case struct {
	t      *testing.T
	name   string
	seed   uint64
	Server *memapi.Server
	Plan   *faults.Plan
	Nodes  *Nodes
	Rand   *rand.Rand

	// seen are objects of the server as all and one return them: they are asked for each second, and never change.
	seen map[*memapi.Object]any

	mu     sync.Mutex
	faults []string // of the controllers
}

// Wrong reports what must never be.
func (c *Case) Wrong(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fmt.Sprintf("%9.3fs  ", time.Since(c.Plan.Start).Seconds())+fmt.Sprintf(format, args...))
}

func (c *Case) wrong() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.faults)
}

// dice are a source of their own for each purpose, so that one does not disturb the other.
func (c *Case) dice(what string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what))
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

// run tries a controller in a world; the caller is in a synctest bubble.
func run(t *testing.T, name string, w World, seed uint64, mode faults.Mode, change ...func(*faults.Plan)) {
	lasting := w.Lasting
	if lasting == 0 {
		lasting = faultsLast
	}
	c := &Case{t: t, name: name, seed: seed, Server: memapi.New(), Plan: faults.New(seed, mode, lasting), seen: map[*memapi.Object]any{}}
	for _, f := range change {
		f(c.Plan)
	}
	c.Rand = c.dice("world")
	c.Nodes = &Nodes{c: c, Lost: map[string]bool{}, dice: c.dice("nodes")}
	c.Server.Committed = func(e memapi.Event) { c.committed(w, e) }
	if w.Begin != nil {
		w.Begin(c)
	}
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { c.Nodes.Run(ctx) })
	group.Go(func() { c.users(ctx, w, lasting) })
	p := newProcess(c, w)
	group.Go(func() { p.run(ctx) })
	err := c.end(w, p)
	stop()
	group.Wait()
	synctest.Wait()
	if p.err != nil && err == nil {
		err = p.err
	}
	if err != nil || len(c.wrong()) > 0 {
		t.Error(c.story(err))
	}
}

// committed looks at a commit: at what no controller may do, and at what this one may not do.
func (c *Case) committed(w World, e memapi.Event) {
	if w.Check != nil {
		w.Check(c, e)
	}
}

// users do the world's steps at times that the seed decides.
func (c *Case) users(ctx context.Context, w World, lasting time.Duration) {
	for _, step := range w.Steps {
		pause := time.NewTimer(time.Duration(c.Rand.Int64N(int64(lasting) * 9 / 10 / int64(len(w.Steps)))))
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
			step(c)
		}
	}
}

// end waits for the end of the faults, for the end of the work, and for rest.
func (c *Case) end(w World, p *process) error {
	for end := c.Plan.Until.Add(time.Second); time.Now().Before(end); {
		if len(c.wrong()) > 0 {
			return nil // what comes after is worth nothing
		}
		time.Sleep(min(5*time.Second, time.Until(end)))
	}
	missing := c.done(w)
	for deadline := time.Now().Add(patience); missing != nil && time.Now().Before(deadline) && len(c.wrong()) == 0; missing = c.done(w) {
		time.Sleep(5 * time.Second)
	}
	if missing != nil || len(c.wrong()) > 0 {
		return missing
	}
	time.Sleep(time.Minute) // the last status
	if err := c.quiet(w, p, restLast); err != nil {
		return err
	}
	p.Restart()
	if err := c.quiet(w, p, restRestarted); err != nil {
		return fmt.Errorf("after a new start: %w", err)
	}
	return nil
}

func (c *Case) quiet(w World, p *process, lasting time.Duration) error {
	before := len(p.Writes())
	time.Sleep(lasting)
	if err := c.done(w); err != nil {
		return fmt.Errorf("it was done, and is not any more: %w", err)
	}
	if writes := p.Writes()[before:]; len(writes) > w.Rest {
		return fmt.Errorf("%d writes in %v in which nothing happened: %s", len(writes), lasting, strings.Join(writes[:min(len(writes), 5)], "; "))
	}
	return nil
}

func (c *Case) done(w World) (err error) {
	if w.Done != nil {
		c.Server.Locked(func() { err = w.Done(c) })
	}
	return err
}

// story is what happened: the fault, and the end of what led to it.
func (c *Case) story(err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s breaks: run again with  -run 'TestControllers/%s' -seed=%d -runs=1\n", c.name, c.name, c.seed)
	if err != nil {
		fmt.Fprintf(&b, "does not converge: %v\n", err)
	}
	for _, line := range c.wrong()[:min(3, len(c.wrong()))] {
		fmt.Fprintln(&b, line)
	}
	lines := c.Plan.Trace()
	for _, e := range c.Server.Log() {
		if e.Actor != "setup" && e.Kind.Resource != "leases" {
			lines = append(lines, fmt.Sprintf("%9.3fs  %s: %s %s %s/%s", e.Time.Sub(c.Plan.Start).Seconds(), e.Actor, strings.ToLower(string(e.Type)), e.Kind.Resource, e.Object.GetNamespace(), e.Object.GetName())+state(e))
		}
	}
	slices.Sort(lines)
	fmt.Fprintf(&b, "The story (%d lives, old server: %v, last %d lines):\n", c.Plan.Crashes()+1, c.Plan.OldServer, min(*storyLines, len(lines)))
	for _, line := range lines[max(0, len(lines)-*storyLines):] {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// state says in a few words what an object has come to.
func state(e memapi.Event) string {
	text := ""
	if phase, _, _ := unstructured.NestedString(e.Object.Object, "status", "phase"); phase != "" {
		text = ", " + phase
	}
	if node, _, _ := unstructured.NestedString(e.Object.Object, "spec", "nodeName"); node != "" {
		text += " on " + node
	}
	if e.Object.GetDeletionTimestamp() != nil {
		text += ", being deleted"
	}
	return text
}

// process is the daemon with the world's controllers, which is started again whenever it ends.
type process struct {
	c       *Case
	config  *app.Config
	rows    []app.Row
	restart chan struct{}

	mu   sync.Mutex
	life *faults.Life
	past []string
	err  error
}

func newProcess(c *Case, w World) *process {
	p := &process{c: c, config: app.NewConfig(), restart: make(chan struct{})}
	configure(p.config)
	if w.Configure != nil {
		w.Configure(p.config)
	}
	for _, row := range table.Controllers() {
		if row.Name == c.name || slices.Contains(w.With, row.Name) {
			p.rows = append(p.rows, row)
		}
	}
	return p
}

func (p *process) run(ctx context.Context) {
	dice := p.c.dice("restarts")
	for ctx.Err() == nil {
		p.live(ctx)
		pause := time.NewTimer(time.Duration(100+dice.IntN(8000)) * time.Millisecond)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

func (p *process) live(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	life := p.c.Plan.Begin(p.c.Server, cancel)
	p.mu.Lock()
	if p.life != nil {
		p.past = append(p.past, p.life.Writes()...)
	}
	p.life = life
	p.mu.Unlock()
	client := &rest.Config{Host: "http://memory", Transport: life, QPS: -1, UserAgent: "kube-controller-manager"}
	client.ContentType, client.AcceptContentTypes = "application/json", "application/json"
	if err := app.Lead(ctx, p.config, client, p.rows); err != nil && ctx.Err() == nil {
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	}
	life.Kill()
}

// Restart ends the process, which starts anew.
func (p *process) Restart() {
	p.mu.Lock()
	life := p.life
	p.mu.Unlock()
	life.Kill()
	time.Sleep(20 * time.Second)
}

// Writes are all writes of the process so far.
func (p *process) Writes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	writes := slices.Clone(p.past)
	if p.life != nil {
		writes = append(writes, p.life.Writes()...)
	}
	return writes
}

// toObject turns a typed object into one of the server.
func toObject(o runtime.Object) *memapi.Object {
	kinds, _, err := scheme.Scheme.ObjectKinds(o)
	if err != nil {
		panic(err)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		panic(err)
	}
	u := &memapi.Object{Object: fields}
	u.SetGroupVersionKind(kinds[0])
	return u
}

// typed returns an object of the server as what it is.
func typed[T any](o *memapi.Object) *T {
	out := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, out); err != nil {
		data, _ := json.Marshal(o.Object)
		panic(fmt.Sprintf("%v: %s", err, data))
	}
	return out
}

// object is a pointer to a typed object.
type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// resourceOf is the resource of a type.
func resourceOf[T any, P object[T]](s *memapi.Server) memapi.Kind {
	kinds, _, err := scheme.Scheme.ObjectKinds(P(new(T)))
	if err != nil {
		panic(err)
	}
	for _, k := range s.Kinds() {
		for _, gvk := range kinds {
			if k.Group == gvk.Group && k.Kind == gvk.Kind {
				return k
			}
		}
	}
	panic(fmt.Sprintf("%v is not served", kinds))
}

// shown is typed for objects that are read only; the server is locked.
func shown[T any](c *Case, o *memapi.Object) *T {
	have, ok := c.seen[o].(*T)
	if !ok {
		have = typed[T](o)
		c.seen[o] = have
	}
	return have
}

// all returns the objects of a type, sorted by name and to be read only; the server is locked.
func all[T any, P object[T]](c *Case) []P {
	k := resourceOf[T, P](c.Server)
	var out []P
	c.Server.Each(k.Group, k.Resource, func(o *memapi.Object) { out = append(out, P(shown[T](c, o))) })
	slices.SortFunc(out, func(a, b P) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	return out
}

// one returns an object, to be read only, nil if there is none; the server is locked.
func one[T any, P object[T]](c *Case, namespace, name string) P {
	k := resourceOf[T, P](c.Server)
	o := c.Server.Peek(k.Group, k.Resource, namespace, name)
	if o == nil {
		return nil
	}
	return P(shown[T](c, o))
}

// Make creates objects as the set-up does, their status included.
func (c *Case) Make(objects ...runtime.Object) {
	for _, o := range objects {
		if _, err := c.Server.Create("setup", toObject(o)); err != nil {
			c.t.Error(err)
		}
	}
}

// edit changes an object as a user does; a status is changed as well. It does nothing when the object is not there.
func edit[T any, P object[T]](c *Case, actor, namespace, name string, change func(P)) {
	k := resourceOf[T, P](c.Server)
	for range 10 {
		have, err := c.Server.Get(k, namespace, name)
		if err != nil {
			return
		}
		o := P(typed[T](have))
		change(o)
		fresh := toObject(o)
		have, err = c.Server.Update(actor, fresh, "")
		if err == nil && k.StatusApart {
			fresh.SetResourceVersion(have.GetResourceVersion())
			_, err = c.Server.Update(actor, fresh, "status")
		}
		if err == nil {
			return
		}
	}
}

// remove deletes an object as a user does, with a policy if it is not empty.
func remove[T any, P object[T]](c *Case, namespace, name string, policy metav1.DeletionPropagation) {
	k := resourceOf[T, P](c.Server)
	o := metav1.DeleteOptions{}
	if policy != "" {
		o.PropagationPolicy = &policy
	}
	_, _ = c.Server.Delete("user", k, namespace, name, o) // it may be gone
}

// logOf are the commits of a kind so far; the server is locked.
func (c *Case) logOf(kind string) []memapi.Event {
	var out []memapi.Event
	for _, e := range c.Server.LogLocked() {
		if e.Kind.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}
