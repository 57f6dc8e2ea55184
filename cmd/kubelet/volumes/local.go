package volumes

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

// local binds a folder of this node, prepared by its administrator, as the pod's volume; a device in block mode is
// given as it is.
func (m *Manager) local(r request, pv *v1.PersistentVolume) (Mounted, error) {
	path := pv.Spec.Local.Path
	info, err := os.Stat(path)
	if err != nil {
		return Mounted{}, fmt.Errorf("local volume %s: %w", pv.Name, err)
	}
	device := info.Mode()&os.ModeDevice != 0
	if pv.Spec.VolumeMode != nil && *pv.Spec.VolumeMode == v1.PersistentVolumeBlock {
		if !device {
			return Mounted{}, fmt.Errorf("local volume %s: %s is not a block device", pv.Name, path)
		}
		return Mounted{HostPath: path, Block: true}, nil
	}
	if !info.IsDir() {
		return Mounted{}, fmt.Errorf("local volume %s: %s is not a directory; mount its filesystem first", pv.Name, path)
	}
	dir := m.volumeDir(r.pod.UID, pluginLocal, r.name)
	mounted, err := m.mounter.Mounted(dir)
	if err != nil {
		return Mounted{}, err
	}
	if !mounted {
		if err := m.bindFolder(path, dir); err != nil {
			return Mounted{}, err
		}
		if err := m.applyFSGroup(dir, r.pod); err != nil {
			return Mounted{}, errors.Join(err, m.mounter.Unmount(dir))
		}
	}
	return Mounted{HostPath: dir, SELinuxRelabel: true, SupportsIDMap: true}, nil
}

func (m *Manager) bindFolder(path, dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer unix.Close(fd) // an O_PATH descriptor
	return m.mounter.Bind(fd, dir, false)
}
