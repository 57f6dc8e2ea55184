package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/component-base/config/v1alpha1"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/daemon"
)

// Run serves the daemon's endpoint, becomes leader, and runs the selected controllers until ctx ends.
func Run(ctx context.Context, c *Config, table []Row, flags *cliflag.NamedFlagSets) error {
	rows, err := Select(table, c.Generic.Controllers)
	if err != nil {
		return err
	}
	conn := c.Generic.ClientConnection
	client, err := daemon.ClientConfig(c.Master, "kube-controller-manager", componentbaseconfig.ClientConnectionConfiguration{
		Kubeconfig: conn.Kubeconfig, AcceptContentTypes: conn.AcceptContentTypes, ContentType: conn.ContentType,
		QPS: conn.QPS, Burst: conn.Burst,
	})
	if err != nil {
		return err
	}
	if err := v1alpha1.Convert_config_LeaderElectionConfiguration_To_v1alpha1_LeaderElectionConfiguration(&c.LeaderElection, &c.Generic.LeaderElection, nil); err != nil {
		return err
	}
	c.Generic.Debugging.EnableProfiling = &c.Serving.Profiling

	election := daemon.NewElection(c.LeaderElection)
	var live []healthz.HealthChecker
	if c.LeaderElection.LeaderElect {
		live = append(live, election.Watchdog)
	}
	served, err := c.Serving.Serve(ctx, daemon.Endpoint{
		Name: "kube-controller-manager", Version: c.Features.Version(),
		Live:   live,
		Config: &c.KubeControllerManagerConfiguration, ConfigName: "kubecontrollermanager.config.k8s.io",
		Flags: flags,
	})
	if err != nil {
		return err
	}
	electing := rest.AddUserAgent(rest.CopyConfig(client), "leader-election")
	election.Guard(client)
	err = election.LeaderElect(ctx, electing, func(ctx context.Context) error { return Lead(ctx, c, client, rows) })
	if ctx.Err() != nil {
		<-served
	}
	return err
}

// stopTimeout bounds how long a controller may take for its last writes; the lease is released after it.
const stopTimeout = 10 * time.Second

// Lead runs the controllers of rows over client, as the leader does, until ctx ends.
func Lead(ctx context.Context, c *Config, client *rest.Config, rows []Row) error {
	if err := awaitServer(ctx, client); err != nil {
		return nil // ctx ended
	}
	env, err := newShared(c, client)
	if err != nil {
		return err
	}
	defer env.stop()
	type running struct {
		name string
		Runner
	}
	var runners []running
	for _, row := range rows {
		own, err := env.forRow(ctx, row)
		if err != nil {
			return fmt.Errorf("controller %s: %w", row.Name, err)
		}
		runner, err := row.New(ctx, own)
		if err != nil {
			return fmt.Errorf("controller %s: %w", row.Name, err)
		}
		if runner == nil {
			klog.FromContext(ctx).Info("Controller has nothing to do in this configuration", "controller", row.Name)
			continue
		}
		runners = append(runners, running{row.Name, runner})
	}
	env.start(ctx)
	var group sync.WaitGroup
	for i, r := range runners {
		if i > 0 && c.Generic.ControllerStartInterval.Duration > 0 {
			select {
			case <-time.After(c.Generic.ControllerStartInterval.Duration):
			case <-ctx.Done():
			}
		}
		group.Go(func() { r.Run(ctx) })
	}
	klog.FromContext(ctx).Info("Controllers started", "count", len(runners))
	<-ctx.Done()
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(stopTimeout):
		return errors.New("controllers did not stop in time")
	}
	return nil
}

// awaitServer returns when the API server answers.
func awaitServer(ctx context.Context, client *rest.Config) error {
	d, err := discovery.NewDiscoveryClientForConfig(client)
	if err != nil {
		return err
	}
	told := false
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := d.ServerVersion()
		if err != nil && !told {
			klog.FromContext(ctx).Info("Waiting for the API server", "host", client.Host, "err", err)
			told = true
		}
		return err == nil, nil
	})
}
