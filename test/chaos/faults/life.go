package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/test/chaos/memapi"
)

// ErrDead is what the requests of a process get that has ended.
var ErrDead = errors.New("the process has ended")

// Life is one life of the process: the transport of all its clients, from its start to its crash.
type Life struct {
	plan   *Plan
	server *memapi.Server
	number int
	start  time.Time
	// end ends the process.
	end context.CancelFunc

	mu     sync.Mutex
	dead   bool
	open   map[*tap]struct{}
	writes []string
}

// Begin returns the transport of a new life; end is called when the process has to go.
func (p *Plan) Begin(server *memapi.Server, end context.CancelFunc) *Life {
	return &Life{plan: p, server: server, number: p.again("life"), start: time.Now(), end: end, open: map[*tap]struct{}{}}
}

// Writes are the requests that changed something or tried to, without events: "create pods default/a".
func (l *Life) Writes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.writes)
}

// Kill ends the life: nothing it asks for reaches the server any more.
func (l *Life) Kill() {
	l.mu.Lock()
	l.dead = true
	open := l.open
	l.open = map[*tap]struct{}{}
	l.mu.Unlock()
	for t := range open {
		_ = t.ReadCloser.Close()
	}
	l.end()
}

func (l *Life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// VisibleAt implements memapi.View. A life may begin with a server whose watch cache stands still at a time before its start.
func (l *Life) VisibleAt(k memapi.Kind, committed time.Time) time.Time {
	at := l.plan.VisibleAt(k, committed)
	if l.plan.Mode == None || l.plan.Mode == Frozen || !l.start.Before(l.plan.Until) {
		return at
	}
	dice := l.plan.draw(fmt.Sprintf("rewind %d %s", l.number, k.Resource))
	if dice(2) == 0 {
		return at
	}
	back, hold := time.Duration(1+dice(45))*time.Second, time.Duration(1+dice(20))*time.Second
	if end := l.start.Add(hold); !at.Before(l.start.Add(-back)) && at.Before(end) {
		at = end
	}
	if at.After(l.plan.Until) && committed.Before(l.plan.Until) {
		return l.plan.Until
	}
	return at
}

// RoundTrip implements http.RoundTripper.
func (l *Life) RoundTrip(req *http.Request) (*http.Response, error) {
	r, err := l.server.Parse(req)
	if err != nil {
		return nil, err
	}
	// Discovery is asked under locks, and who waits for a lock holds up a virtual clock.
	if r.Kind.Kind == "" || r.Kind.Resource == "events" || !l.plan.active() && !r.Writes() {
		return l.pass(req, r)
	}
	what := identity(r)
	n := l.plan.again(what)
	dice := l.plan.draw(fmt.Sprintf("%s %d", what, n))
	// Lists take no time: a controller may share one among several keys, and hold a lock meanwhile.
	if r.Verb != "list" {
		if err := l.sleep(req.Context(), 500*time.Microsecond+time.Duration(dice(5_000_000))); err != nil {
			return nil, err
		}
	}
	if r.Writes() {
		l.mu.Lock()
		l.writes = append(l.writes, what)
		l.mu.Unlock()
	}
	switch {
	case !l.plan.active():
		return l.pass(req, r)
	case r.Writes():
		return l.write(req, r, what, n, dice)
	case r.Verb == "watch":
		return l.watch(req, r, what, dice)
	}
	return l.read(req, r, what, dice)
}

// identity names a request for the dice: the same one of another seed is the same.
func identity(r *memapi.Request) string {
	name := r.Name
	if name == "" && r.Verb == "create" {
		name = generatedFrom(r.Body)
	}
	return fmt.Sprintf("%s: %s %s %s/%s", r.Actor, r.Verb, r.Resource(), r.Namespace, name)
}

func (l *Life) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (l *Life) pass(req *http.Request, r *memapi.Request) (*http.Response, error) {
	if l.isDead() {
		return nil, ErrDead
	}
	if r.Verb == "watch" {
		return l.tapped(l.server.Do(req, r, l), 0), nil
	}
	return l.server.Do(req, r, l), nil
}

// write lets a write happen, or not, and tells of it, or not.
func (l *Life) write(req *http.Request, r *memapi.Request, what string, n int, dice func(int) int) (*http.Response, error) {
	fault := ""
	switch l.plan.Mode {
	case Storm:
		fault = stormy(n)
	case Random:
		fault = random(r, dice)
	case Frozen, None:
	}
	if (fault == crashBefore || fault == crashAfter) && !l.plan.crash() {
		fault = ""
	}
	if fault != "" {
		l.plan.tell("%s: %s", fault, what)
	}
	switch fault {
	case crashBefore:
		l.Kill()
		return nil, ErrDead
	case crashAfter, lostConnection, lostAnswer:
		res, err := l.pass(req, r)
		switch {
		case err != nil:
			return nil, err
		case fault == crashAfter:
			_ = res.Body.Close()
			l.Kill()
			return nil, ErrDead
		case res.StatusCode >= 300:
			return res, nil
		}
		_ = res.Body.Close()
		if fault == lostAnswer {
			return memapi.Refuse(req, apierrors.NewTimeoutError("the request was carried out, perhaps", 0)), nil
		}
		return nil, io.ErrUnexpectedEOF
	case timeout:
		if err := l.sleep(req.Context(), 10*time.Second); err != nil {
			return nil, err
		}
		return memapi.Refuse(req, apierrors.NewTimeoutError("the request was not carried out", 0)), nil
	case conflict:
		return memapi.Refuse(req, apierrors.NewConflict(r.Kind.GroupResource(), r.Name, errors.New("the object has been modified"))), nil
	case tooMany:
		return memapi.Refuse(req, apierrors.NewTooManyRequests("too many requests", 1)), nil
	case internal:
		return memapi.Refuse(req, apierrors.NewInternalError(errors.New("the store is not to be had"))), nil
	}
	return l.pass(req, r)
}

const (
	crashBefore    = "process ends before"
	crashAfter     = "process ends after"
	lostConnection = "carried out, connection lost"
	lostAnswer     = "carried out, answer lost"
	timeout        = "timed out, not carried out"
	conflict       = "409"
	tooMany        = "429"
	internal       = "500"
)

func stormy(n int) string { return []string{crashBefore, crashAfter, ""}[n%3] }

func random(r *memapi.Request, dice func(int) int) string {
	if dice(100) >= 25 {
		return ""
	}
	fault := []string{crashBefore, crashAfter, lostConnection, lostAnswer, timeout, conflict, tooMany, internal}[dice(8)]
	if fault == conflict && r.Verb != "update" && r.Verb != "patch" {
		return internal
	}
	return fault
}

func (l *Life) read(req *http.Request, r *memapi.Request, what string, dice func(int) int) (*http.Response, error) {
	if l.plan.Mode == Random {
		switch dice(40) {
		case 0:
			l.plan.tell("500: %s", what)
			return memapi.Refuse(req, apierrors.NewInternalError(errors.New("the store is not to be had"))), nil
		case 1:
			if r.Verb == "list" {
				break
			}
			l.plan.tell("slow: %s", what)
			if err := l.sleep(req.Context(), 3*time.Second); err != nil {
				return nil, err
			}
		}
	}
	return l.pass(req, r)
}

func (l *Life) watch(req *http.Request, r *memapi.Request, what string, dice func(int) int) (*http.Response, error) {
	streamed := r.Query.Get("sendInitialEvents") == "true"
	if streamed && l.plan.OldServer {
		return memapi.Refuse(req, apierrors.NewInvalid(metav1.SchemeGroupVersion.WithKind("ListOptions").GroupKind(), "", nil)), nil
	}
	if l.plan.Mode != Random {
		return l.pass(req, r)
	}
	if !streamed && dice(5) == 0 {
		l.plan.tell("410: %s", what)
		return memapi.Refuse(req, apierrors.NewResourceExpired("the version is too old")), nil
	}
	if l.isDead() {
		return nil, ErrDead
	}
	return l.tapped(l.server.Do(req, r, l), time.Duration(5+dice(115))*time.Second), nil
}

// tap is the body of a watch that can be cut.
type tap struct {
	io.ReadCloser
	life *Life
	cut  *time.Timer
}

// Close implements io.Closer.
func (t *tap) Close() error {
	if t.cut != nil {
		t.cut.Stop()
	}
	t.life.mu.Lock()
	delete(t.life.open, t)
	t.life.mu.Unlock()
	return t.ReadCloser.Close()
}

// tapped lets the body of a watch be cut with the life, and after a time if that is not 0.
func (l *Life) tapped(res *http.Response, after time.Duration) *http.Response {
	t := &tap{ReadCloser: res.Body, life: l}
	l.mu.Lock()
	l.open[t] = struct{}{}
	dead := l.dead
	l.mu.Unlock()
	if dead {
		_ = res.Body.Close()
	} else if after > 0 {
		body := res.Body
		t.cut = time.AfterFunc(after, func() { _ = body.Close() })
	}
	res.Body = t
	return res
}
