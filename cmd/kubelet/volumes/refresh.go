package volumes

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

const (
	refreshWorkers = 4
	orphansEvery   = 2 * time.Minute
)

// Changed says that an object the pod refers to, or the pod itself, changed: its files are written anew.
func (m *Manager) Changed(uid types.UID) { m.queue.Add(uid) }

// PodChanged says that the pod itself changed: what its downward API volumes show of it is written anew.
func (m *Manager) PodChanged(pod *v1.Pod) {
	for i := range pod.Spec.Volumes {
		if showsPod(&pod.Spec.Volumes[i]) {
			m.queue.Add(pod.UID)
			return
		}
	}
}

// showsPod reports whether the volume has files of labels or annotations, which can change.
func showsPod(v *v1.Volume) bool {
	changing := func(items []v1.DownwardAPIVolumeFile) bool {
		return slices.ContainsFunc(items, func(f v1.DownwardAPIVolumeFile) bool {
			return f.ResourceFieldRef != nil || f.FieldRef != nil && f.FieldRef.FieldPath != "metadata.namespace" && f.FieldRef.FieldPath != "metadata.name" && f.FieldRef.FieldPath != "metadata.uid"
		})
	}
	if v.DownwardAPI != nil {
		return changing(v.DownwardAPI.Items)
	}
	return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(p v1.VolumeProjection) bool {
		return p.DownwardAPI != nil && changing(p.DownwardAPI.Items)
	})
}

// Run keeps the content of live volumes up to date and removes what pods left that are gone, until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	for range refreshWorkers {
		go m.refreshLoop(ctx)
	}
	m.adopt()
	ticker := time.NewTicker(orphansEvery)
	defer ticker.Stop()
	for {
		m.removeOrphans(ctx)
		select {
		case <-ctx.Done():
			m.queue.ShutDown()
			return
		case <-ticker.C:
		}
	}
}

// adopt looks at every volume that an earlier kubelet made: its objects may have changed since.
func (m *Manager) adopt() {
	names, _ := readDir(m.podsDir())
	for _, name := range names {
		m.queue.Add(types.UID(name))
	}
}

func (m *Manager) refreshLoop(ctx context.Context) {
	for {
		uid, stop := m.queue.Get()
		if stop {
			return
		}
		next, err := m.refresh(ctx, uid)
		switch {
		case err != nil:
			m.queue.AddRateLimited(uid)
		case !next.IsZero():
			m.queue.Forget(uid)
			m.queue.AddAfter(uid, max(time.Until(next), time.Second))
		default:
			m.queue.Forget(uid)
		}
		m.queue.Done(uid)
	}
}

// refresh writes the files of one pod's volumes that are on the node, also those that an earlier kubelet made. What
// cannot be collected stays as it is. next is when a token must be renewed.
func (m *Manager) refresh(ctx context.Context, uid types.UID) (next time.Time, err error) {
	pod := m.current(uid)
	if pod == nil || pod.DeletionTimestamp != nil {
		return time.Time{}, nil
	}
	s := m.state(uid)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range pod.Spec.Volumes {
		r := request{pod: pod, volume: &pod.Spec.Volumes[i], name: pod.Spec.Volumes[i].Name}
		if !isContent(r.volume) {
			continue
		}
		dir, _ := m.contentDir(r)
		if _, statErr := os.Lstat(filepath.Join(dir, dataLink)); statErr != nil {
			continue // Setup has yet to make it, or it is gone
		}
		files, renew, collectErr := m.collect(ctx, r)
		if collectErr == nil {
			collectErr = m.writeContent(dir, pod, files)
		}
		if collectErr != nil {
			m.refreshFailed(ctx, pod, r.name, collectErr)
			if !isNotFound(collectErr) { // an object that is gone wakes this pod when it comes back
				err = collectErr
			}
			continue
		}
		if !renew.IsZero() && (next.IsZero() || renew.Before(next)) {
			next = renew
		}
	}
	return next, err
}

// current is the pod as it is now.
func (m *Manager) current(uid types.UID) *v1.Pod {
	if m.View != nil {
		if now, ok := m.View(uid); ok {
			return now.Pod
		}
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.pods[uid]; s != nil {
		return s.pod
	}
	return nil
}

func (m *Manager) refreshFailed(ctx context.Context, pod *v1.Pod, volume string, err error) {
	klog.FromContext(ctx).Info("A volume keeps its old content: the new one cannot be made", "pod", klog.KObj(pod), "volume", volume, "reason", err.Error())
	if m.Recorder != nil {
		m.Recorder.Eventf(pod, v1.EventTypeWarning, "FailedMount", "MountVolume.SetUp failed for volume %q : %v", volume, err)
	}
}

func isContent(v *v1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}
