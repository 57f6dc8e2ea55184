package app

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/status"
)

// view is the pod with its addresses.
func (w *worker) view(pod *v1.Pod, now *observed.Pod) fields.Pod {
	v := fields.Pod{Pod: pod, HostIPs: w.kubelet.HostIPs()}
	if pod.Spec.HostNetwork {
		v.PodIPs = v.HostIPs
	} else if s := now.Sandbox(); s != nil {
		v.PodIPs = s.IPs
	}
	return v
}

// publish makes the pod's status known to the API and to the probes.
func (w *worker) publish(ctx context.Context, now *observed.Pod, final bool) {
	k := w.kubelet
	pod := w.pod
	if last, ok := k.Status.Get(w.uid); ok {
		known := pod.DeepCopy()
		known.Status.ContainerStatuses, known.Status.InitContainerStatuses, known.Status.EphemeralContainerStatuses = last.ContainerStatuses, last.InitContainerStatuses, last.EphemeralContainerStatuses
		known.Status.StartTime, known.Status.PodIPs, known.Status.Phase = last.StartTime, last.PodIPs, last.Phase
		known.Status.Conditions = mergeConditions(pod.Status.Conditions, last.Conditions)
		pod = known
	}
	ending := w.pod.DeletionTimestamp != nil || w.rejected != nil
	in := status.Input{
		Pod: pod, Observed: now, HostIPs: k.HostIPs(), Now: time.Now(), Waiting: w.waiting, Rejected: w.rejected, Resize: w.resize,
		Ending: ending, Ended: ending && final,
		Ready:   func(c string) bool { ready, known := k.Probes.Ready(w.uid, c); return ready || !known },
		Started: func(c string) bool { return k.Probes.Started(w.uid, c) },
	}
	s := status.Generate(in)
	all := append(append([]v1.ContainerStatus{}, s.InitContainerStatuses...), s.ContainerStatuses...)
	if k.Probes.Observe(w.uid, all, s.PodIP) {
		s = status.Generate(in) // a container without probes is ready as soon as it runs
	}
	k.Status.Set(k.ctx, w.pod, s, final)
}

// mergeConditions takes the newest of this kubelet's conditions, and of others' what the API has.
func mergeConditions(api, mine []v1.PodCondition) []v1.PodCondition {
	out := append([]v1.PodCondition{}, mine...)
	for i := range out {
		for _, a := range api {
			if a.Type == out[i].Type && a.LastTransitionTime.After(out[i].LastTransitionTime.Time) {
				out[i] = a
			}
		}
	}
	for _, a := range api {
		found := false
		for _, m := range mine {
			found = found || m.Type == a.Type
		}
		if !found {
			out = append(out, a)
		}
	}
	return out
}
