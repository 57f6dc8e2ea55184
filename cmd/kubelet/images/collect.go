package images

import (
	"context"
	"math"
	"sort"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// collectEvery is how often the disk is looked at.
const collectEvery = 5 * time.Minute

// Limits of the image disk, in per cent of its size, and the least age of an image that is removed.
type Limits struct {
	High, Low int32
	MinAge    time.Duration
	MaxAge    time.Duration // an image unused for so long goes, however much room there is; 0: never
}

// Collect removes unused images, least recently used first, whenever the disk is filled beyond the high limit, until
// it is below the low one. inUse gives the images of containers; usage the disk's use and size in bytes.
func (m *Manager) Collect(ctx context.Context, limits Limits, inUse func(context.Context) (map[string]bool, error), usage func() (used, size uint64, err error)) {
	logger := klog.FromContext(ctx)
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if limits.MaxAge > 0 {
			if freed, err := m.Free(ctx, math.MaxInt64, limits.MaxAge, inUse); freed > 0 || err != nil {
				logger.Info("Removed images that were long unused", "freedBytes", freed, "err", err)
			}
		}
		if _, err := m.Free(ctx, 0, limits.MinAge, inUse); err != nil { // frees nothing, notes what is in use
			logger.Info("Images cannot be listed", "reason", err.Error())
			continue
		}
		used, size, err := usage()
		if err != nil || size == 0 || used*100/size < uint64(limits.High) {
			continue
		}
		excess := int64(used) - int64(size)*int64(limits.Low)/100
		freed, err := m.Free(ctx, excess, limits.MinAge, inUse)
		logger.Info("Removed unused images", "freedBytes", freed, "wantedBytes", excess, "err", err)
	}
}

// Free removes unused images of minAge at least, least recently used first, until wanted bytes are free.
func (m *Manager) Free(ctx context.Context, wanted int64, minAge time.Duration, inUse func(context.Context) (map[string]bool, error)) (int64, error) {
	used, err := inUse(ctx)
	if err != nil {
		return 0, err
	}
	all, err := m.Service.ListImages(ctx, nil)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	var candidates []*runtimeapi.Image
	m.mu.Lock()
	if m.used == nil {
		m.used = map[string]time.Time{}
	}
	for _, image := range all {
		if m.used[image.Id].IsZero() || used[image.Id] {
			m.used[image.Id] = now // first seen, or in use: its age begins now
		}
		if !image.Pinned && !used[image.Id] && now.Sub(m.used[image.Id]) >= minAge {
			candidates = append(candidates, image)
		}
	}
	sort.Slice(candidates, func(i, j int) bool { return m.used[candidates[i].Id].Before(m.used[candidates[j].Id]) })
	m.mu.Unlock()
	var freed int64
	for _, image := range candidates {
		if freed >= wanted {
			break
		}
		if err := m.Service.RemoveImage(ctx, &runtimeapi.ImageSpec{Image: image.Id}); err != nil {
			return freed, err
		}
		freed += int64(image.Size)
	}
	return freed, nil
}
