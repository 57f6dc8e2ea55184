package volumes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
)

// hostPath checks that what lies at the path is of the type asked for, and makes what may be made.
func (m *Manager) hostPath(s *v1.HostPathVolumeSource) (Mounted, error) {
	kind := v1.HostPathUnset
	if s.Type != nil {
		kind = *s.Type
	}
	if err := checkHostPath(s.Path, kind); err != nil {
		return Mounted{}, err
	}
	return Mounted{HostPath: s.Path}, nil
}

func checkHostPath(path string, kind v1.HostPathType) error {
	switch kind {
	case v1.HostPathUnset:
		return nil
	case v1.HostPathDirectoryOrCreate:
		if err := os.MkdirAll(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		kind = v1.HostPathDirectory
	case v1.HostPathFileOrCreate:
		if f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_EXCL, 0o644); err == nil {
			f.Close() // nothing was written
		} else if !errors.Is(err, os.ErrExist) {
			return err
		}
		kind = v1.HostPathFile
	}
	info, err := os.Stat(path)
	mode := os.FileMode(0)
	if err == nil {
		mode = info.Mode()
	}
	is := map[v1.HostPathType]struct {
		name string
		ok   bool
	}{
		v1.HostPathDirectory: {"directory", mode.IsDir()},
		v1.HostPathFile:      {"file", mode.IsRegular()},
		v1.HostPathSocket:    {"socket file", mode&os.ModeSocket != 0},
		v1.HostPathCharDev:   {"character device", mode&os.ModeCharDevice != 0},
		v1.HostPathBlockDev:  {"block device", mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0},
	}
	check, known := is[kind]
	if !known {
		return fmt.Errorf("hostPath type %q is unknown", kind)
	}
	if err != nil || !check.ok {
		return fmt.Errorf("hostPath type check failed: %s is not a %s", path, check.name)
	}
	return nil
}
