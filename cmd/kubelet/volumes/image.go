package volumes

import (
	"context"
	"errors"
)

// image brings the image of an image volume to the node (KEP-4639); the runtime mounts it itself, read-only.
func (m *Manager) image(ctx context.Context, r request) (Mounted, error) {
	if m.Image == nil {
		return Mounted{}, errors.New("this node serves no image volumes")
	}
	ref, err := m.Image(ctx, r.pod, r.volume)
	if err != nil {
		return Mounted{}, err
	}
	return Mounted{Image: ref, ReadOnly: true}, nil
}
