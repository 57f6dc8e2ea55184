package csi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Unmount unpublishes the volume whose record lies in dir and, when no other pod of this node uses it, unstages it.
// See volumes.CSI.
func (m *Manager) Unmount(ctx context.Context, dir string) error {
	r, err := readRecord(dir)
	if errors.Is(err, errNoRecord) {
		return nil // nothing was begun
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	defer m.lock(r.Driver, r.Handle)()
	m.forget(dir)
	d, err := m.drivers.get(r.Driver)
	if err != nil {
		return err
	}
	_, err = d.node.NodeUnpublishVolume(ctx, &spec.NodeUnpublishVolumeRequest{VolumeId: r.Handle, TargetPath: targetOf(dir)})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("NodeUnpublishVolume of %s: %w", r.Handle, err)
	}
	if err := os.Remove(targetOf(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.unstage(ctx, d, r, dir); err != nil {
		return err
	}
	// Last: while the record is there, the volume is in use and Unmount can be repeated.
	return os.Remove(filepath.Join(dir, recordFile))
}

func (m *Manager) unstage(ctx context.Context, d *driver, r *record, dir string) error {
	staging := r.Staging
	if staging == "" && d.stages && r.Lifecycle != "Ephemeral" {
		staging = m.stagingDir(r.Driver, r.Handle)
	}
	if staging == "" {
		return nil
	}
	for other, o := range m.records() {
		if other != dir && o.Driver == r.Driver && o.Handle == r.Handle {
			return nil
		}
	}
	_, err := d.node.NodeUnstageVolume(ctx, &spec.NodeUnstageVolumeRequest{VolumeId: r.Handle, StagingTargetPath: staging})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("NodeUnstageVolume of %s: %w", r.Handle, err)
	}
	for _, d := range []string{staging, filepath.Dir(staging)} {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
