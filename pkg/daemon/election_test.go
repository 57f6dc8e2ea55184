package daemon

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	componentbaseconfig "k8s.io/component-base/config"
)

// leaseStore keeps one Lease as the API does: by version, with watches.
type leaseStore struct {
	mu      sync.Mutex
	version int
	lease   *coordinationv1.Lease
	watches map[*watch.RaceFreeFakeWatcher]bool
	// noWatch refuses watches, as a role without that verb would.
	noWatch bool
}

// connection is one instance's way to the store, which can be cut.
type connection struct {
	*leaseStore
	cut bool
}

var resource = coordinationv1.Resource("leases")

func (c *connection) try(act func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return errors.New("no route to host")
	}
	return act()
}

func (c *connection) setCut(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
}

// store is called with the lock held.
func (s *leaseStore) store(lease *coordinationv1.Lease, event func(*watch.RaceFreeFakeWatcher, *coordinationv1.Lease)) *coordinationv1.Lease {
	s.version++
	s.lease = lease.DeepCopy()
	s.lease.ResourceVersion = strconv.Itoa(s.version)
	for w := range s.watches {
		event(w, s.lease.DeepCopy())
	}
	return s.lease.DeepCopy()
}

func (c *connection) Get(_ context.Context, name string, _ metav1.GetOptions) (out *coordinationv1.Lease, err error) {
	return out, c.try(func() error {
		if c.lease == nil {
			return apierrors.NewNotFound(resource, name)
		}
		out = c.lease.DeepCopy()
		return nil
	})
}

func (c *connection) Create(_ context.Context, lease *coordinationv1.Lease, _ metav1.CreateOptions) (out *coordinationv1.Lease, err error) {
	return out, c.try(func() error {
		if c.lease != nil {
			return apierrors.NewAlreadyExists(resource, lease.Name)
		}
		out = c.store(lease, func(w *watch.RaceFreeFakeWatcher, l *coordinationv1.Lease) { w.Add(l) })
		return nil
	})
}

func (c *connection) Update(_ context.Context, lease *coordinationv1.Lease, _ metav1.UpdateOptions) (out *coordinationv1.Lease, err error) {
	return out, c.try(func() error {
		switch {
		case c.lease == nil:
			return apierrors.NewNotFound(resource, lease.Name)
		case c.lease.ResourceVersion != lease.ResourceVersion:
			return apierrors.NewConflict(resource, lease.Name, errors.New("it has been changed"))
		}
		out = c.store(lease, func(w *watch.RaceFreeFakeWatcher, l *coordinationv1.Lease) { w.Modify(l) })
		return nil
	})
}

func (c *connection) Watch(context.Context, metav1.ListOptions) (out watch.Interface, err error) {
	return out, c.try(func() error {
		if c.noWatch {
			return apierrors.NewForbidden(resource, "", errors.New("no watch for you"))
		}
		w := watch.NewRaceFreeFake()
		c.watches[w] = true
		out = w
		return nil
	})
}

func (s *leaseStore) delete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches {
		w.Delete(s.lease.DeepCopy())
	}
	s.lease = nil
}

func (s *leaseStore) holder() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		return "nobody: deleted"
	}
	return *s.lease.Spec.HolderIdentity
}

// instance is one daemon in the election.
type instance struct {
	election *Election
	conn     *connection
	stop     context.CancelFunc
	began    chan time.Time // when it began to lead
	ended    chan error     // what LeaderElect returned
}

func defaults() componentbaseconfig.LeaderElectionConfiguration {
	return componentbaseconfig.LeaderElectionConfiguration{
		LeaderElect: true, ResourceNamespace: "kube-system", ResourceName: "daemon",
		LeaseDuration: metav1.Duration{Duration: 15 * time.Second}, RenewDeadline: metav1.Duration{Duration: 10 * time.Second}, RetryPeriod: metav1.Duration{Duration: 2 * time.Second},
	}
}

func newStore() *leaseStore { return &leaseStore{watches: map[*watch.RaceFreeFakeWatcher]bool{}} }

// join starts an instance; wind is how long its work takes to end.
func join(t *testing.T, s *leaseStore, name string, wind time.Duration) *instance {
	i := &instance{election: NewElection(defaults()), conn: &connection{leaseStore: s}, began: make(chan time.Time, 1), ended: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	i.stop = stop
	go func() {
		i.ended <- i.election.elect(ctx, name, i.conn, func(ctx context.Context) error {
			i.began <- time.Now()
			<-ctx.Done()
			time.Sleep(wind)
			return nil
		})
	}()
	synctest.Wait()
	t.Cleanup(stop)
	return i
}

// writes tells whether a write of the instance would be let through.
func (i *instance) writes() bool {
	_, err := i.election.fence.enter(time.Now())
	if err == nil {
		i.election.fence.leave()
	}
	return err == nil
}

func TestASuccessorLeadsAtOnceWhenTheLeaseIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		a := join(t, s, "a", 700*time.Millisecond)
		b := join(t, s, "b", 0)
		if s.holder() != "a" || !a.writes() || b.writes() {
			t.Fatalf("%s holds the lease, a writes %t, b writes %t", s.holder(), a.writes(), b.writes())
		}
		time.Sleep(time.Minute)
		asked := time.Now()
		a.stop()
		if took := (<-b.began).Sub(asked); took != 700*time.Millisecond {
			t.Errorf("b leads %v after a was asked to stop, whose work took 700ms to end", took)
		}
		if err := <-a.ended; err != nil || a.writes() {
			t.Errorf("a ended with %v and writes %t", err, a.writes())
		}
		if s.lease.Spec.LeaseTransitions == nil || *s.lease.Spec.LeaseTransitions != 1 {
			t.Errorf("the lease counts %v transitions, want 1", s.lease.Spec.LeaseTransitions)
		}
		b.stop()
		_ = b.end()
	})
}

func TestACutOffLeaderWritesNothingBeforeAnotherLeads(t *testing.T) {
	for name, noWatch := range map[string]bool{"with a watch": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				s.noWatch = noWatch
				a, b := join(t, s, "a", 0), join(t, s, "b", 0)
				time.Sleep(time.Minute + time.Millisecond) // a has renewed just now
				cut := time.Now()
				a.conn.setCut(true)
				time.Sleep(10*time.Second - 2*time.Millisecond)
				if !a.writes() {
					t.Error("a stopped writing before its deadline for renewing")
				}
				time.Sleep(2 * time.Millisecond)
				if a.writes() || a.election.Watchdog.Check(nil) != nil {
					t.Errorf("a writes after its deadline: %t; its health: %v", a.writes(), a.election.Watchdog.Check(nil))
				}
				if err := <-a.ended; !errors.Is(err, ErrLeaseLost) {
					t.Errorf("a ended with %v", err)
				}
				limit := 15 * time.Second
				if noWatch {
					limit += 2 * time.Second
				}
				if took := (<-b.began).Sub(cut); took > limit {
					t.Errorf("b leads after %v", took)
				}
				a.conn.setCut(false)
				time.Sleep(time.Minute)
				if s.holder() != "b" || a.writes() {
					t.Errorf("%s holds the lease, a writes %t", s.holder(), a.writes())
				}
				b.stop()
				_ = b.end()
			})
		})
	}
}

func TestALeaderThatWasAwayNeverTouchesTheLeaseOfItsSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		a := join(t, s, "a", 0)
		// While a does not look, another takes the lease: as after SIGSTOP, when a's timers fire late.
		s.mu.Lock()
		taken := s.lease.DeepCopy()
		*taken.Spec.HolderIdentity = "b"
		s.store(taken, func(w *watch.RaceFreeFakeWatcher, l *coordinationv1.Lease) { w.Modify(l) })
		version := s.version
		s.mu.Unlock()
		if err := <-a.ended; !errors.Is(err, ErrLeaseLost) || a.writes() {
			t.Errorf("a ended with %v and writes %t", err, a.writes())
		}
		if s.version != version {
			t.Errorf("a wrote the lease of b: %v", s.lease.Spec)
		}
	})
}

func TestADeletedLeaseIsLeftToItsHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		a, b := join(t, s, "a", 0), join(t, s, "b", 0)
		time.Sleep(time.Minute + time.Second)
		s.delete()
		time.Sleep(time.Minute)
		if s.holder() != "a" || !a.writes() || b.writes() {
			t.Errorf("%s holds the lease, a writes %t, b writes %t", s.holder(), a.writes(), b.writes())
		}
		a.stop()
		b.stop()
		_ = a.end()
		_ = b.end()
	})
}

func TestTheLeaseIsKeptWhileAWriteIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		a, b := join(t, s, "a", 0), join(t, s, "b", 0)
		time.Sleep(time.Second)
		if _, err := a.election.fence.enter(time.Now()); err != nil {
			t.Fatal(err)
		}
		a.stop()
		time.Sleep(9 * time.Second)
		if s.holder() != "a" || a.writes() {
			t.Errorf("%s holds the lease, a writes more: %t", s.holder(), a.writes())
		}
		a.election.fence.leave()
		synctest.Wait()
		if s.holder() != "b" {
			t.Errorf("%s holds the lease after a's last write", s.holder())
		}
		b.stop()
		_ = b.end()
	})
}

// TestWritesCarryTheirDeadline: the API server refuses what a leader sends too late, by its own clock.
func TestWritesCarryTheirDeadline(t *testing.T) {
	handled := map[string]int{}
	var bounded bool
	server := httptest.NewServer(WithWriteDeadline(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		handled[r.Method]++
		_, bounded = r.Context().Deadline()
	})))
	defer server.Close()
	e := NewElection(defaults())
	config := &rest.Config{Host: server.URL}
	e.Guard(config)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	send := func(method string) (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if _, err := send(http.MethodPost); !errors.Is(err, ErrNotLeading) {
		t.Errorf("a write before the election: %v", err)
	}
	e.fence.extend(time.Now().Add(time.Minute))
	if code, err := send(http.MethodPost); err != nil || code != http.StatusOK || !bounded {
		t.Errorf("a write of the leader: %d, %v, under a deadline: %t", code, err, bounded)
	}
	e.fence.ahead = -time.Hour // what was let out arrives too late
	if code, err := send(http.MethodDelete); err != nil || code != http.StatusGatewayTimeout {
		t.Errorf("a late write: %d, %v", code, err)
	}
	if code, err := send(http.MethodGet); err != nil || code != http.StatusOK {
		t.Errorf("a read: %d, %v", code, err)
	}
	if want := map[string]int{"POST": 1, "GET": 1}; !maps.Equal(handled, want) {
		t.Errorf("carried out: %v, want %v", handled, want)
	}
	if e.fence.writing != 0 {
		t.Errorf("%d writes are said to be under way", e.fence.writing)
	}
}

func TestTheServersClockIsLearned(t *testing.T) {
	f := &fence{}
	date := time.Now().Add(time.Hour).UTC()
	clock := serverClock{f, answering(func(*http.Request) *http.Response {
		return &http.Response{Header: http.Header{"Date": {date.Format(http.TimeFormat)}}, Body: http.NoBody}
	})}
	resp, err := clock.RoundTrip(nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if f.ahead > time.Hour || f.ahead < time.Hour-2*time.Second {
		t.Errorf("the server is ahead by %v, want an hour or a second less", f.ahead)
	}
}

type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

func TestDurationsWithWhichTwoCouldLead(t *testing.T) {
	for _, c := range []struct {
		lease, deadline, retry time.Duration
		want                   string
	}{
		{15 * time.Second, 10 * time.Second, 2 * time.Second, ""},
		{10 * time.Second, 10 * time.Second, 2 * time.Second, "--leader-elect-lease-duration=10s"},
		{2900 * time.Millisecond, 2500 * time.Millisecond, time.Second, "--leader-elect-lease-duration=2.9s"},
		{15 * time.Second, 2 * time.Second, 2 * time.Second, "--leader-elect-renew-deadline=2s"},
		{15 * time.Second, 2 * time.Second, 0, "--leader-elect-retry-period=0s"},
	} {
		o := defaults()
		o.LeaseDuration.Duration, o.RenewDeadline.Duration, o.RetryPeriod.Duration = c.lease, c.deadline, c.retry
		err := checkDurations(o)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q", c, err, c.want)
		}
	}
}

// end waits for the end of what the instance runs.
func (i *instance) end() error { return <-i.ended }
