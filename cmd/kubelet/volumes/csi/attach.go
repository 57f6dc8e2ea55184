package csi

import (
	"context"
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// awaitAttached waits until the attach controller says that the volume is attached to this node, and gives what the
// driver's controller handed over for the node.
func (m *Manager) awaitAttached(ctx context.Context, name string) (map[string]string, error) {
	attachments := m.Client.StorageV1().VolumeAttachments()
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()}
	for {
		list, err := attachments.List(ctx, only)
		if err != nil {
			return nil, fmt.Errorf("volume attachment %s: %w", name, err)
		}
		for i := range list.Items {
			if metadata, attached, err := attachment(&list.Items[i]); attached || err != nil {
				return metadata, err
			}
		}
		only.ResourceVersion = list.ResourceVersion
		w, err := attachments.Watch(ctx, only)
		if err != nil {
			return nil, fmt.Errorf("volume attachment %s: %w", name, err)
		}
		only.ResourceVersion = ""
		metadata, attached, err := follow(ctx, w)
		if attached || err != nil {
			return metadata, err
		}
	}
}

func attachment(a *storagev1.VolumeAttachment) (metadata map[string]string, attached bool, err error) {
	if a.DeletionTimestamp != nil {
		return nil, false, fmt.Errorf("volume attachment %s is being deleted", a.Name)
	}
	if a.Status.AttachError != nil {
		return nil, false, fmt.Errorf("volume attachment %s: %s", a.Name, a.Status.AttachError.Message)
	}
	return a.Status.AttachmentMetadata, a.Status.Attached, nil
}

// follow reads a watch until the volume is attached; the watch may end before.
func follow(ctx context.Context, w watch.Interface) (map[string]string, bool, error) {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, false, fmt.Errorf("timed out waiting for the volume to be attached: %w", ctx.Err())
		case event, ok := <-w.ResultChan():
			if !ok {
				return nil, false, nil
			}
			if a, is := event.Object.(*storagev1.VolumeAttachment); is && event.Type != watch.Deleted {
				if metadata, attached, err := attachment(a); attached || err != nil {
					return metadata, attached, err
				}
			}
		}
	}
}
