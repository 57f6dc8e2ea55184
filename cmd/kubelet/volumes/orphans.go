package volumes

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// removeOrphans clears the folders of pods that this node has no more: they ended while no kubelet ran.
func (m *Manager) removeOrphans(ctx context.Context) {
	if m.Keep == nil {
		return
	}
	names, err := readDir(m.podsDir())
	if err != nil {
		klog.FromContext(ctx).Error(err, "The pods' folders cannot be listed")
		return
	}
	// Asked after the listing: a pod that came since has its folder in neither or in both.
	keep, known := m.Keep()
	if !known {
		return
	}
	for _, name := range names {
		uid := types.UID(name)
		if keep.Has(uid) {
			continue
		}
		logger := klog.FromContext(ctx).WithValues("podUID", uid)
		if err := m.Teardown(ctx, uid); err != nil {
			logger.Error(err, "Volumes of a pod that is gone cannot be taken away, trying again later")
			continue
		}
		if err := m.removeTree(m.PodDir(uid)); err != nil {
			logger.Error(err, "The folder of a pod that is gone cannot be removed, trying again later")
			continue
		}
		logger.Info("Removed what a pod that is gone left")
	}
}
