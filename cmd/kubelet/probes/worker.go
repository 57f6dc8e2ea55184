package probes

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// worker runs one probe of one instance.
type worker struct {
	manager   *Manager
	uid       types.UID
	container *v1.Container
	spec      *v1.Probe
	kind      Kind
	instance  *instance
}

// tally counts attempts in a row that agree.
type tally struct {
	last outcome
	run  int32
}

// add takes an attempt's outcome over and reports whether the probe's threshold is reached.
func (t *tally) add(o outcome, spec *v1.Probe) bool {
	if o != t.last {
		t.last, t.run = o, 0
	}
	t.run++
	if o == success {
		return t.run >= max(spec.SuccessThreshold, 1)
	}
	return t.run >= max(spec.FailureThreshold, 1)
}

// run probes until ctx ends, the startup probe has succeeded, or the container is to be restarted.
func (w *worker) run(ctx context.Context) {
	if w.kind != Startup {
		select {
		case <-w.instance.started:
		case <-ctx.Done():
			return
		}
	}
	wait := time.Until(w.instance.began.Add(time.Duration(w.spec.InitialDelaySeconds) * time.Second))
	timer := time.NewTimer(max(wait, 0))
	defer timer.Stop()
	period := time.Duration(max(w.spec.PeriodSeconds, 1)) * time.Second
	var t tally
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		begun := time.Now()
		if w.attempt(ctx, &t) {
			return
		}
		timer.Reset(max(period-time.Since(begun), 0))
	}
}

// attempt probes once and reports whether nothing remains to be probed.
func (w *worker) attempt(ctx context.Context, t *tally) (done bool) {
	pod, ip, ok := w.manager.target(w.uid)
	if !ok {
		return true
	}
	o, err := w.manager.prober.probe(ctx, w, pod, ip)
	if ctx.Err() != nil || err != nil {
		return ctx.Err() != nil // a probe that could not be run says nothing of the container
	}
	if !t.add(o, w.spec) {
		return false
	}
	if w.instance.set(w.kind, o) && w.manager.OnChange != nil {
		w.manager.OnChange(w.uid)
	}
	switch w.kind {
	case Startup:
		return true
	case Liveness:
		return o == failure // its next life has a worker of its own
	}
	return false
}
