package csi

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/volumes"
)

// republishEvery is how often a volume is published again whose driver asks for it.
const republishEvery = time.Minute

// mounted is a volume that its driver wants published again, with what the driver's controller handed over for the node.
type mounted struct {
	volumes.CSIRequest
	published map[string]string
}

// remember notes a volume that is mounted, if its driver asks for more than that.
func (m *Manager) remember(v *volume, published map[string]string) {
	if !ptr.Deref(v.object.Spec.RequiresRepublish, false) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mounted[v.Dir] = mounted{v.CSIRequest, published}
}

func (m *Manager) forget(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mounted, dir)
}

// keepPublishing republishes until ctx ends.
func (m *Manager) keepPublishing(ctx context.Context) {
	ticker := time.NewTicker(republishEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.republish(ctx)
		}
	}
}

// republish publishes again what its drivers want: they renew what they took from tokens and secrets. What fails is tried again the
// next time; the volume stays.
func (m *Manager) republish(ctx context.Context) {
	m.mu.Lock()
	all := slices.Collect(maps.Values(m.mounted))
	m.mu.Unlock()
	for _, r := range all {
		if err := m.republishOne(ctx, r); err != nil {
			klog.FromContext(ctx).Info("A volume cannot be published again", "pod", klog.KObj(r.Pod), "volume", r.Name, "reason", err.Error())
		}
	}
}

func (m *Manager) republishOne(ctx context.Context, r mounted) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	v, err := m.gather(ctx, r.CSIRequest)
	if err != nil {
		return err
	}
	defer m.lock(v.Driver, v.Handle)()
	m.mu.Lock()
	_, still := m.mounted[r.Dir]
	m.mu.Unlock()
	if !still {
		return nil // its pod has ended
	}
	return m.nodePublish(ctx, v, r.published)
}
