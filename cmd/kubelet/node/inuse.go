package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
)

// announcePoll is how often a volume is looked for in the status that was written.
const announcePoll = 50 * time.Millisecond

// AwaitInUse writes the status and returns when the API has it with the volume among status.volumesInUse.
func (m *Manager) AwaitInUse(ctx context.Context, volume v1.UniqueVolumeName) error {
	asked := 0
	for {
		if node := m.Registered(); node != nil && slices.Contains(node.Status.VolumesInUse, volume) {
			return nil
		}
		if asked%20 == 0 { // once a second
			m.Update()
		}
		asked++
		select {
		case <-ctx.Done():
			return fmt.Errorf("telling in the node's status that volume %s is in use: %w", volume, ctx.Err())
		case <-time.After(announcePoll):
		}
	}
}
