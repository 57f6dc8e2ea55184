package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/types"
)

// Teardown takes away all that the pod has mounted, whichever kubelet mounted it, and the content of volumes that live
// as long as the pod. It can be repeated. Nothing is deleted below a mount that will not go.
func (m *Manager) Teardown(ctx context.Context, uid types.UID) error {
	s := m.state(uid)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = map[string]Mounted{}
	if err := errors.Join(m.removeTree(m.subPathsDir(uid)), m.teardownVolumes(ctx, uid)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pods, uid)
	return nil
}

func (m *Manager) teardownVolumes(ctx context.Context, uid types.UID) error {
	var errs []error
	plugins, err := readDir(m.volumesDir(uid))
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		names, err := readDir(filepath.Join(m.volumesDir(uid), plugin))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range names {
			dir := filepath.Join(m.volumesDir(uid), plugin, name)
			if err := m.teardownVolume(ctx, plugin, dir); err != nil {
				errs = append(errs, fmt.Errorf("UnmountVolume.TearDown failed for volume %q : %w", name, err))
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return m.removeTree(m.volumesDir(uid))
}

func (m *Manager) teardownVolume(ctx context.Context, plugin, dir string) error {
	if plugin == pluginCSI && m.CSI != nil {
		if err := m.CSI.Unmount(ctx, dir); err != nil {
			return err
		}
	}
	return m.removeTree(dir)
}

func readDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// removeTree unmounts everything at and below dir, checks that it is so, and only then deletes it: what is left below
// dir is the kubelet's own.
func (m *Manager) removeTree(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	points, err := m.mounter.Below(dir)
	if err != nil {
		return err
	}
	for _, p := range points {
		if err := m.mounter.Unmount(p); err != nil {
			return err
		}
	}
	if points, err = m.mounter.Below(dir); err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("%s is still mounted", points[0])
	}
	return os.RemoveAll(dir)
}

// Holds reports whether anything of the pod's volumes is left on the node.
func (m *Manager) Holds(uid types.UID) bool {
	plugins, _ := readDir(m.volumesDir(uid))
	for _, plugin := range plugins {
		if names, _ := readDir(filepath.Join(m.volumesDir(uid), plugin)); len(names) > 0 {
			return true
		}
	}
	return false
}
