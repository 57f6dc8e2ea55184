package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/client-go/rest"
)

// ErrNotLeading is what a guarded client's write ends with when its process does not hold the lease, or may not hold it
// any more.
var ErrNotLeading = errors.New("not written: this process does not hold the leader lease now")

// notAfter is the header in which a leader's write carries the time, by the API server's clock, from which on another
// process may lead. docs/decisions/0041-fencing.md says what that guarantees.
const notAfter = "Pilotis-Not-After"

// fence lets writes through for as long as nobody else can lead.
type fence struct {
	mu sync.Mutex
	// until is when the lease's last renewal ceases to cover writes, by this machine's clocks.
	until time.Time
	// ahead is by how much the API server's clock is at least ahead of this machine's.
	ahead   time.Duration
	writing int
	idle    chan struct{} // of who waits in drain
	open    bool          // there is no election: nothing is refused
	closed  bool
}

// extend allows writes until a time.
func (f *fence) extend(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = until
}

// drain refuses writes from now on, and returns when those that are under way have been answered, or ctx ends.
func (f *fence) drain(ctx context.Context) error {
	f.mu.Lock()
	f.closed, f.open = true, false
	idle := make(chan struct{})
	if f.writing == 0 {
		close(idle)
	} else {
		f.idle = idle
	}
	f.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter begins a write. Its deadline is by the API server's clock; it is zero when there is none.
func (f *fence) enter(now time.Time) (deadline time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.open {
		// A machine that slept has not moved its monotonic clock, one whose clock was set has not kept its wall clock.
		if f.closed || !now.Before(f.until) || !now.Round(0).Before(f.until.Round(0)) {
			return time.Time{}, ErrNotLeading
		}
		deadline = f.until.Add(f.ahead)
	}
	f.writing++
	return deadline, nil
}

func (f *fence) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writing--; f.writing == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

// guarded is the transport of a client whose writes the fence lets through.
type guarded struct {
	fence *fence
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if reads(r) {
		return g.next.RoundTrip(r)
	}
	deadline, err := g.fence.enter(time.Now())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // the contract of a RoundTripper
		}
		return nil, err
	}
	defer g.fence.leave()
	if !deadline.IsZero() {
		r = utilnet.CloneRequest(r)
		r.Header.Set(notAfter, deadline.UTC().Format(time.RFC3339Nano))
	}
	return g.next.RoundTrip(r)
}

// WrappedRoundTripper implements utilnet.RoundTripperWrapper.
func (g guarded) WrappedRoundTripper() http.RoundTripper { return g.next }

func reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

// serverClock learns from the answers to the election's own requests how far the API server's clock is ahead. Their Date
// is at most a second behind: the fence falls at most so much earlier than it need to.
type serverClock struct {
	fence *fence
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (c serverClock) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.fence.mu.Lock()
		c.fence.ahead = date.Sub(time.Now().Round(0))
		c.fence.mu.Unlock()
	}
	return resp, nil
}

// WrappedRoundTripper implements utilnet.RoundTripperWrapper.
func (c serverClock) WrappedRoundTripper() http.RoundTripper { return c.next }

// Guard makes every write of the clients of c one that this process sends as the leader alone; see ErrNotLeading. Reads
// are free. A copy that rest.AnonymousClientConfig makes is not guarded unless it takes c.WrapTransport over.
func (e *Election) Guard(c *rest.Config) {
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return guarded{e.fence, next} })
}

// WithWriteDeadline is the API server's side of Guard: a write whose sender may no longer be the leader is answered with
// 504 and not carried out, and one under way is cancelled at that time.
func WithWriteDeadline(next http.Handler) http.Handler {
	codecs := serializer.NewCodecFactory(statusScheme())
	refuse := func(w http.ResponseWriter, r *http.Request, why error) {
		responsewriters.ErrorNegotiated(why, codecs, schema.GroupVersion{Version: "v1"}, w, r)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := r.Header.Get(notAfter)
		if text == "" || reads(r) {
			next.ServeHTTP(w, r)
			return
		}
		deadline, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			refuse(w, r, apierrors.NewBadRequest(fmt.Sprintf("header %s: %v: give a time as in %s", notAfter, err, time.RFC3339Nano)))
			return
		}
		ctx, cancel := context.WithDeadline(r.Context(), deadline)
		defer cancel()
		if ctx.Err() != nil {
			refuse(w, r, apierrors.NewTimeoutError(fmt.Sprintf("not carried out: header %s says that the sender may not be the leader since %s", notAfter, text), 0))
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
