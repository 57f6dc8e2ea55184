package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/google/uuid"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/klog/v2"
)

// ErrLeaseLost is what LeaderElect returns when another instance holds the lease now. The daemon must exit:
// its supervisor starts it anew as a candidate.
var ErrLeaseLost = errors.New("leader lease lost")

// Election makes the health check and the loop of one daemon's leader election.
type Election struct {
	Config componentbaseconfig.LeaderElectionConfiguration
	// Watchdog reports a leader that could not renew; add it to Endpoint.Live.
	Watchdog *leaderelection.HealthzAdaptor
}

// NewElection returns an election with the settings of c.
func NewElection(c componentbaseconfig.LeaderElectionConfiguration) *Election {
	return &Election{Config: c, Watchdog: leaderelection.NewLeaderHealthzAdaptor(0)}
}

// LeaderElect calls run when this instance holds the Lease and cancels its context when the lease is lost or
// ctx ends; the lease is released on a graceful end, so that a successor need not wait for it to expire.
// Without leader election run is called at once.
func (e *Election) LeaderElect(ctx context.Context, client *rest.Config, run func(ctx context.Context) error) error {
	if !e.Config.LeaderElect {
		return run(ctx)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("naming this leader candidate: %w", err)
	}
	identity := host + "_" + uuid.NewString()
	lock, err := resourcelock.NewFromKubeconfig(e.Config.ResourceLock, e.Config.ResourceNamespace, e.Config.ResourceName,
		resourcelock.ResourceLockConfig{Identity: identity}, client, e.Config.RenewDeadline.Duration)
	if err != nil {
		return fmt.Errorf("creating the leader lock %s/%s: %w", e.Config.ResourceNamespace, e.Config.ResourceName, err)
	}
	// The lease outlives ctx until run has returned: a released lease means that nothing is written any more.
	electCtx, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	var leading atomic.Bool
	defer context.AfterFunc(ctx, func() {
		if !leading.Load() {
			release()
		}
	})()
	finished := make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   e.Config.LeaseDuration.Duration,
		RenewDeadline:   e.Config.RenewDeadline.Duration,
		RetryPeriod:     e.Config.RetryPeriod.Duration,
		WatchDog:        e.Watchdog,
		Name:            e.Config.ResourceName,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leadCtx context.Context) {
				leading.Store(true)
				runCtx, cancel := context.WithCancel(leadCtx)
				defer cancel()
				defer context.AfterFunc(ctx, cancel)()
				klog.FromContext(ctx).Info("Leading", "identity", identity)
				finished <- run(runCtx)
				release()
			},
			OnNewLeader: func(id string) {
				klog.FromContext(ctx).Info("New leader", "leader", id, "lease", klog.KRef(e.Config.ResourceNamespace, e.Config.ResourceName))
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("leader election settings: %w", err)
	}
	elector.Run(electCtx)
	lost := electCtx.Err() == nil
	if leading.Load() {
		err = <-finished
	}
	if lost {
		return ErrLeaseLost
	}
	return err
}
