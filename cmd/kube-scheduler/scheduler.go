package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-scheduler/bind"
	"pilotis.dev/cmd/kube-scheduler/config"
	"pilotis.dev/cmd/kube-scheduler/cycle"
	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/cmd/kube-scheduler/queue"
	"pilotis.dev/cmd/kube-scheduler/snapshot"
	"pilotis.dev/pkg/daemon"
)

// maxBinding bounds the bindings under way at once.
const maxBinding = 64

// scheduler is the daemon: it observes (watches → cache and queue), decides (cycle) and binds.
type scheduler struct {
	options     *config.Options
	election    *daemon.Election
	electing    *rest.Config
	client      kubernetes.Interface
	informers   informers.SharedInformerFactory
	pods        informers.SharedInformerFactory
	cache       *snapshot.Cache
	queue       *queue.Queue
	deciders    map[string]*cycle.Decider
	writer      *bind.Writer
	broadcaster events.EventBroadcaster
	synced      atomic.Bool
	leading     atomic.Bool
	binding     chan struct{}
}

func newScheduler(o *config.Options) (*scheduler, error) {
	rc, err := daemon.ClientConfig(o.Master, "kube-scheduler", o.Client)
	if err != nil {
		return nil, err
	}
	election, electing := daemon.NewElection(o.Election), rest.CopyConfig(rc)
	election.Guard(rc)
	client, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return nil, err
	}
	// Bindings and events do not wait behind each other's requests.
	writes := rest.CopyConfig(rc)
	writes.QPS, writes.Burst = -1, 0
	binds, err := kubernetes.NewForConfig(writes)
	if err != nil {
		return nil, err
	}
	s := &scheduler{
		options: o, election: election, electing: electing, client: client, cache: snapshot.NewCache(), binding: make(chan struct{}, maxBinding),
		informers:   informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(dropManagedFields)),
		broadcaster: events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()}),
		deciders:    map[string]*cycle.Decider{},
	}
	s.pods = newPodInformers(client)
	s.queue = queue.New(queue.Config{
		InitialBackoff: time.Duration(*o.Config.PodInitialBackoffSeconds) * time.Second, MaxBackoff: time.Duration(*o.Config.PodMaxBackoffSeconds) * time.Second,
		MaxUnschedulable: o.MaxUnschedulable, Gate: s.gate, Wakes: s.wakes, Clock: clock.RealClock{},
	})
	recorders := map[string]events.EventRecorder{}
	inputs := s.inputs()
	for _, p := range o.Config.Profiles {
		profile, err := o.Profile(p, inputs)
		if err != nil {
			return nil, err
		}
		s.deciders[profile.Name] = &cycle.Decider{Profile: profile, Parallelism: int(*o.Config.Parallelism), NamespaceLabels: s.namespaceLabels, Nominated: s.queue.Nominated}
		recorders[profile.Name] = s.broadcaster.NewRecorder(scheme.Scheme, profile.Name)
	}
	s.writer = &bind.Writer{Client: binds, Recorder: func(name string) events.EventRecorder { return recorders[name] },
		Claims: s.informers.Core().V1().PersistentVolumeClaims().Lister()}
	return s, nil
}

// serve answers health and metrics at once, and schedules while this instance leads.
func (s *scheduler) serve(ctx context.Context, flags *cliflag.NamedFlagSets) error {
	daemon.ApplyMetrics(s.options.Metrics)
	if s.options.Serving.Profiling && s.options.ContentionProfiling {
		runtime.SetBlockProfileRate(1)
	}
	delayed := s.options.Config.DelayCacheUntilActive && s.options.Election.LeaderElect
	stopped, err := s.options.Serving.Serve(ctx, daemon.Endpoint{
		Name: "kube-scheduler", Flags: flags, Version: s.options.Features.Version(), Config: &s.options.Config, ConfigName: "kubescheduler.config.k8s.io",
		Live: []healthz.HealthChecker{s.election.Watchdog},
		Ready: []healthz.HealthChecker{healthz.NamedCheck("informers", func(*http.Request) error {
			if !s.synced.Load() && !(delayed && !s.leading.Load()) {
				return errors.New("the lists of nodes and pods have not arrived yet")
			}
			return nil
		})},
	})
	if err != nil {
		return err
	}
	if err := s.observe(); err != nil {
		return err
	}
	go daemon.TellUnreachable(ctx, s.client.Discovery())
	if err := s.broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return err
	}
	defer s.broadcaster.Shutdown()
	if !delayed {
		s.fillCache(ctx)
	}
	lead := func(ctx context.Context) error {
		s.leading.Store(true)
		s.fillCache(ctx)
		return s.run(ctx)
	}
	if err := s.election.LeaderElect(ctx, s.electing, lead); err != nil {
		return err
	}
	<-stopped
	return nil
}

// fillCache starts the watches and returns once they have delivered everything that exists; further calls find that at once.
func (s *scheduler) fillCache(ctx context.Context) {
	s.informers.Start(ctx.Done())
	s.pods.Start(ctx.Done())
	s.informers.WaitForCacheSync(ctx.Done())
	s.pods.WaitForCacheSync(ctx.Done())
	s.synced.Store(ctx.Err() == nil)
}

// run schedules until ctx ends, and waits for the bindings under way.
func (s *scheduler) run(ctx context.Context) error {
	for {
		item := s.queue.Pop(ctx)
		if item == nil {
			break
		}
		s.schedule(ctx, item)
	}
	for range maxBinding {
		s.binding <- struct{}{}
	}
	return nil
}

// schedule decides on one pod and starts its binding.
func (s *scheduler) schedule(ctx context.Context, item *queue.Item) {
	pod := item.Pod
	logger := klog.FromContext(ctx).WithValues("pod", klog.KObj(pod))
	decider := s.deciders[pod.Spec.SchedulerName]
	if decider == nil || pod.DeletionTimestamp != nil || s.cache.IsPlaced(pod.UID) {
		s.queue.Done(item)
		return
	}
	now := s.cache.Snapshot()
	decision, err := decider.Decide(ctx, pod, now)
	if err != nil {
		logger.Error(err, "Deciding failed, trying again")
		s.report(ctx, item, v1.PodReasonSchedulerError, err.Error(), nil)
		s.queue.Failed(item, nil)
		return
	}
	if decision.Failure != nil {
		s.fail(ctx, decider, item, now, decision.Failure)
		return
	}
	logger.V(2).Info("Decided", "node", decision.Node, "evaluated", decision.Evaluated, "feasible", decision.Feasible)
	s.cache.Assume(pod, decision.Node)
	s.binding <- struct{}{}
	go func() {
		defer func() { <-s.binding }()
		s.bind(context.WithoutCancel(ctx), item, decision)
	}()
}

func (s *scheduler) bind(ctx context.Context, item *queue.Item, d cycle.Decision) {
	err := s.writer.Bind(ctx, item.Pod, d)
	if err == nil {
		s.queue.Done(item)
		return
	}
	s.cache.Forget(item.Pod.UID)
	if apierrors.IsNotFound(err) {
		s.queue.Delete(item.Pod.UID)
		return
	}
	klog.FromContext(ctx).Error(err, "Binding failed, trying again", "pod", klog.KObj(item.Pod), "node", d.Node)
	s.report(ctx, item, v1.PodReasonSchedulerError, fmt.Sprintf("binding to node %s: %v", d.Node, err), nil)
	s.queue.Failed(item, nil)
	s.queue.Happened(plugins.Event{Resource: framework.AssignedPod, Action: framework.Delete, Old: item.Pod.Pod})
}

// fail looks for pods to displace, and tells the pod's users why it waits.
func (s *scheduler) fail(ctx context.Context, d *cycle.Decider, item *queue.Item, now *snapshot.Snapshot, f *cycle.Failure) {
	var nominated *string
	budgets, err := s.informers.Policy().V1().PodDisruptionBudgets().Lister().List(labels.Everything())
	if err == nil {
		var preemption *cycle.Preemption
		if preemption, f.Preemption = d.Preempt(ctx, item.Pod, now, f, budgets); preemption != nil {
			nominated = &preemption.Node
			err = s.writer.Evict(ctx, item.Pod.Pod, preemption)
		}
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "Preemption failed", "pod", klog.KObj(item.Pod))
	}
	s.report(ctx, item, v1.PodReasonUnschedulable, f.Message(), nominated)
	refused := f.Plugins()
	if nominated != nil {
		refused["NodeResourcesFit"] = true // the end of a victim wakes the pod
	}
	s.queue.Failed(item, refused)
}

func (s *scheduler) report(ctx context.Context, item *queue.Item, reason, message string, nominated *string) {
	if err := s.writer.Unschedulable(ctx, item.Pod.Pod, reason, message, nominated); err != nil {
		klog.FromContext(ctx).Error(err, "Updating the pod's status failed", "pod", klog.KObj(item.Pod))
	}
}

func (s *scheduler) gate(pod *v1.Pod) *framework.Status {
	if d := s.deciders[pod.Spec.SchedulerName]; d != nil {
		return d.Profile.Gate(pod)
	}
	return nil
}

// wakes asks the plugins that refused the pod whether the event may help.
func (s *scheduler) wakes(e plugins.Event, pod *snapshot.Pod, refusedBy map[string]bool) bool {
	d := s.deciders[pod.Spec.SchedulerName]
	if d == nil {
		return false
	}
	for _, w := range d.Profile.Wakers {
		if refusedBy[w.Name()] && w.Wakes(e, pod) {
			return true
		}
	}
	return false
}

func (s *scheduler) namespaceLabels(name string) labels.Set {
	ns, err := s.informers.Core().V1().Namespaces().Lister().Get(name)
	if err != nil {
		return nil
	}
	return ns.Labels
}

// dropManagedFields leaves out what a scheduler never reads.
func dropManagedFields(obj any) (any, error) {
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	return obj, nil
}
