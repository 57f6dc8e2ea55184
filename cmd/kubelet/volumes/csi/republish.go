package csi

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/volumes"
)

// tendEvery is how often mounted volumes are looked at: those that their drivers want published again, and those that may grow.
const tendEvery = time.Minute

// mounted is a volume that has to be looked at while it is mounted.
type mounted struct {
	volumes.CSIRequest
	published map[string]string // what the driver's controller handed over for the node
	republish bool
	grows     bool
	size      resource.Quantity // that its file system has
}

// remember notes a volume that is mounted, if there may be more to do.
func (m *Manager) remember(v *volume, published map[string]string) {
	r := mounted{CSIRequest: v.CSIRequest, published: published, republish: ptr.Deref(v.object.Spec.RequiresRepublish, false), grows: v.canGrow(), size: sizeOf(v.CSIRequest)}
	if !r.republish && !r.grows {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mounted[v.Dir] = r
}

func (m *Manager) forget(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mounted, dir)
}

func (m *Manager) isMounted(dir string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, is := m.mounted[dir]
	return is
}

// setSize notes that the volume has grown.
func (m *Manager) setSize(dir string, size resource.Quantity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, is := m.mounted[dir]; is {
		r.size = size
		m.mounted[dir] = r
	}
}

func (m *Manager) mountedThat(is func(mounted) bool) []mounted {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Values(m.mounted)), func(r mounted) bool { return !is(r) })
}

// tend looks after mounted volumes until ctx ends.
func (m *Manager) tend(ctx context.Context) {
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.republish(ctx)
			m.growAll(ctx)
		}
	}
}

// republish publishes again what its drivers want: they renew what they took from tokens and secrets. What fails is tried again the
// next time; the volume stays.
func (m *Manager) republish(ctx context.Context) {
	for _, r := range m.mountedThat(func(r mounted) bool { return r.republish }) {
		if err := m.republishOne(ctx, r); err != nil {
			klog.FromContext(ctx).Info("A volume cannot be published again", "pod", klog.KObj(r.Pod), "volume", r.Name, "reason", err.Error())
		}
	}
}

func (m *Manager) republishOne(ctx context.Context, r mounted) error {
	return m.whileMounted(ctx, r, func(ctx context.Context, v *volume) error { return m.nodePublish(ctx, v, r.published) })
}

// whileMounted calls do for the volume, unless its pod has ended. Nobody mounts or unmounts it meanwhile.
func (m *Manager) whileMounted(ctx context.Context, r mounted, do func(context.Context, *volume) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	v, err := m.gather(ctx, r.CSIRequest)
	if err != nil {
		return err
	}
	defer m.lock(v.Driver, v.Handle)()
	if !m.isMounted(r.Dir) {
		return nil
	}
	return do(ctx, v)
}
