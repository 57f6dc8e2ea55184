package observed

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

const (
	// relistWithEvents is the safety net below the runtime's events, relistAlone the only source without them.
	relistWithEvents = 30 * time.Second
	relistAlone      = time.Second
	reconnectPause   = time.Second
)

// Watch calls changed for each pod that something happened to, until ctx ends, and healthy after each exchange
// with the runtime. It follows the runtime's events and lists everything now and then besides.
func (r Runtime) Watch(ctx context.Context, changed func(types.UID), healthy func()) {
	connected := make(chan bool, 8)
	go r.follow(ctx, changed, connected)
	last := map[types.UID]string{}
	interval := relistAlone
	timer := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return
		case up := <-connected:
			if interval = relistAlone; up {
				interval = relistWithEvents
			}
		case <-timer.C:
		}
		now, err := r.fingerprints(ctx)
		if err != nil {
			klog.FromContext(ctx).Error(err, "The container runtime does not answer")
			timer.Reset(relistAlone)
			continue
		}
		healthy()
		for uid, print := range now {
			if last[uid] != print {
				changed(uid)
			}
		}
		for uid := range last {
			if _, ok := now[uid]; !ok {
				changed(uid)
			}
		}
		last = now
		timer.Reset(interval)
	}
}

// follow reads the runtime's event stream, and opens it anew when it ends.
func (r Runtime) follow(ctx context.Context, changed func(types.UID), connected chan<- bool) {
	for ctx.Err() == nil {
		events := make(chan *runtimeapi.ContainerEventResponse, 256)
		done := make(chan error, 1)
		go func() {
			done <- r.Service.GetContainerEvents(ctx, events, func(runtimeapi.RuntimeService_GetContainerEventsClient) { connected <- true })
			close(events)
		}()
		for e := range events {
			if uid := types.UID(e.GetPodSandboxStatus().GetLabels()[LabelPodUID]); uid != "" {
				changed(uid)
			} else if uid := types.UID(e.GetPodSandboxStatus().GetMetadata().GetUid()); uid != "" {
				changed(uid)
			}
		}
		if err := <-done; err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).V(2).Info("The runtime's event stream ended, opening it anew", "reason", err.Error())
		}
		select {
		case connected <- false:
		default:
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}
