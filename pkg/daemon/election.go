package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"k8s.io/apiserver/pkg/server/healthz"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// ErrLeaseLost is what LeaderElect returns when another instance holds the lease now. The daemon must exit:
// its supervisor starts it anew as a candidate.
var ErrLeaseLost = errors.New("leader lease lost")

// Election makes the health check, the write guard and the loop of one daemon's leader election.
type Election struct {
	Config componentbaseconfig.LeaderElectionConfiguration
	// Watchdog reports a leader that could not renew; add it to Endpoint.Live.
	Watchdog healthz.HealthChecker

	fence *fence
}

// NewElection returns an election with the settings of c. Without leader election nothing is guarded.
func NewElection(c componentbaseconfig.LeaderElectionConfiguration) *Election {
	e := &Election{Config: c, fence: &fence{open: !c.LeaderElect}}
	slack := c.LeaseDuration.Duration - c.RenewDeadline.Duration
	e.Watchdog = healthz.NamedCheck("leaderElection", func(*http.Request) error {
		e.fence.mu.Lock()
		defer e.fence.mu.Unlock()
		if until := e.fence.until; !until.IsZero() && !e.fence.closed && time.Since(until) > slack {
			return fmt.Errorf("the lease %s/%s has not been renewed for %s", c.ResourceNamespace, c.ResourceName, c.LeaseDuration.Duration)
		}
		return nil
	})
	return e
}

// masterStatus is upstream's metric of who leads.
var masterStatus = metrics.NewGaugeVec(&metrics.GaugeOpts{
	Name: "leader_election_master_status", StabilityLevel: metrics.ALPHA,
	Help: "Whether this process holds the lease called name: 1 or 0.",
}, []string{"name"})

// LeaderElect calls run when this instance holds the Lease and cancels its context when the lease is lost or
// ctx ends. The lease is released on a graceful end, so that a successor, who watches it, leads at once; it is
// not when run returns an error or a guarded write is still under way. client must not be guarded.
// Without leader election run is called at once.
func (e *Election) LeaderElect(ctx context.Context, client *rest.Config, run func(ctx context.Context) error) error {
	if !e.Config.LeaderElect {
		return run(ctx)
	}
	if err := checkDurations(e.Config); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("naming this leader candidate: %w", err)
	}
	client = rest.CopyConfig(client)
	client.Wrap(func(next http.RoundTripper) http.RoundTripper { return serverClock{e.fence, next} })
	leases, err := coordinationclient.NewForConfig(client)
	if err != nil {
		return fmt.Errorf("creating the client of the leader lease: %w", err)
	}
	_ = legacyregistry.Register(masterStatus) // fails only when it is registered already
	return e.elect(ctx, host+"_"+uuid.NewString(), leases.Leases(e.Config.ResourceNamespace), run)
}

func (e *Election) elect(ctx context.Context, identity string, leases leaseClient, run func(ctx context.Context) error) error {
	c := &candidate{config: e.Config, identity: identity, leases: leases, fence: e.fence}
	status := masterStatus.WithLabelValues(e.Config.ResourceName)
	status.Set(0)
	if !c.acquire(ctx) {
		return nil
	}
	status.Set(1)
	logger := klog.FromContext(ctx)
	logger.Info("Leading", "identity", identity, "lease", klog.KRef(e.Config.ResourceNamespace, e.Config.ResourceName))

	// The lease outlives ctx until run has returned: a released lease means that nothing is written any more.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	leading, end := context.WithCancel(ctx)
	defer end()
	lost := make(chan bool, 1)
	go func() {
		over := c.renew(renewing)
		end()
		lost <- over
	}()
	err := run(leading)
	draining, cancel := context.WithTimeout(renewing, e.Config.RenewDeadline.Duration)
	defer cancel()
	drained := e.fence.drain(draining)
	stop()
	status.Set(0)
	switch {
	case <-lost:
		return ErrLeaseLost
	case err == nil && drained != nil:
		logger.Info("Lease kept until it expires: writes are under way")
	case err == nil:
		c.release(context.WithoutCancel(ctx))
	}
	return err
}

// checkDurations finds settings with which two instances could lead at once.
func checkDurations(c componentbaseconfig.LeaderElectionConfiguration) error {
	lease, deadline, retry := c.LeaseDuration.Duration, c.RenewDeadline.Duration, c.RetryPeriod.Duration
	switch {
	case lease.Truncate(time.Second) <= deadline:
		return fmt.Errorf("--leader-elect-lease-duration=%s: its whole seconds must be more than --leader-elect-renew-deadline=%s", lease, deadline)
	case retry <= 0:
		return fmt.Errorf("--leader-elect-retry-period=%s: must be positive", retry)
	case deadline <= retry+retry/5:
		return fmt.Errorf("--leader-elect-renew-deadline=%s: must be more than 1.2 times --leader-elect-retry-period=%s", deadline, retry)
	}
	return nil
}
