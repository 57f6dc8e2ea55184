package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// SubPath gives what a container mounts for a subPath of a volume: a bind mount, in the pod's own folder, of exactly
// the file or folder that the path led to when it was opened. The path is resolved by the kernel so that no link, also
// none that a container swaps in meanwhile, leads out of the volume (CVE-2017-1002101, CVE-2021-25741). A path that
// does not exist becomes a folder. index is that of the container's volumeMount.
func (m *Manager) SubPath(uid types.UID, container string, index int, volume, volumePath, subPath string, readOnly bool) (string, error) {
	if err := checkSubPath(subPath); err != nil {
		return "", err
	}
	fd, isDir, err := openSubPath(volumePath, subPath)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd) // an O_PATH descriptor
	target := filepath.Join(m.subPathsDir(uid), segment(volume), segment(container), strconv.Itoa(index))
	if err := m.freeSubPath(target); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(target), dirMode); err != nil {
		return "", err
	}
	if isDir {
		err = os.Mkdir(target, dirMode)
	} else {
		var f *os.File
		if f, err = os.OpenFile(target, os.O_CREATE|os.O_EXCL, 0o640); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return "", err
	}
	if err := m.mounter.Bind(fd, target, readOnly); err != nil {
		return "", err
	}
	return target, nil
}

// freeSubPath takes away what an earlier start of the container mounted.
func (m *Manager) freeSubPath(target string) error {
	mounted, err := m.mounter.Mounted(target)
	if err != nil {
		return err
	}
	if mounted {
		if err := m.mounter.Unmount(target); err != nil {
			return err
		}
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func checkSubPath(subPath string) error {
	if filepath.IsAbs(subPath) {
		return fmt.Errorf("subPath %q must be a relative path", subPath)
	}
	for _, part := range strings.Split(subPath, "/") {
		if part == ".." {
			return fmt.Errorf("subPath %q must not contain '..'", subPath)
		}
	}
	if strings.ContainsRune(subPath, 0) {
		return errors.New("subPath must not contain a zero byte")
	}
	return nil
}

// openSubPath opens the path below volumePath, which it makes when it is missing, without reading or writing it (O_PATH).
func openSubPath(volumePath, subPath string) (fd int, isDir bool, err error) {
	base, err := unix.Open(volumePath, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false, fmt.Errorf("opening volume %s: %w", volumePath, err)
	}
	defer unix.Close(base) // an O_PATH descriptor
	fd, err = beneath(base, subPath)
	if errors.Is(err, unix.ENOENT) {
		if err := makeSubPath(volumePath, subPath); err != nil {
			return 0, false, err
		}
		fd, err = beneath(base, subPath)
	}
	if errors.Is(err, unix.EXDEV) {
		return 0, false, fmt.Errorf("subPath %q leads out of its volume", subPath)
	}
	if err != nil {
		return 0, false, fmt.Errorf("subPath %q: %w", subPath, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		unix.Close(fd) // the first error is told
		return 0, false, err
	}
	return fd, stat.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// beneath resolves a path that must stay below base. EAGAIN: something moved meanwhile.
func beneath(base int, path string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	const attempts = 16
	for range attempts {
		fd, err := unix.Openat2(base, path, &how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
	return 0, fmt.Errorf("%q changes too fast to be opened", path)
}

// makeSubPath makes the missing folders with the volume's own permissions.
func makeSubPath(volumePath, subPath string) error {
	root, err := os.OpenRoot(volumePath)
	if err != nil {
		return err
	}
	defer root.Close() // a folder handle
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	mode := info.Mode() & (os.ModePerm | os.ModeSetgid)
	path := ""
	for _, part := range strings.Split(filepath.Clean(subPath), "/") {
		path = filepath.Join(path, part)
		err := root.Mkdir(path, mode.Perm())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("making subPath %q: %w", subPath, err)
		}
		if err := root.Chmod(path, mode); err != nil { // Mkdir is subject to the umask
			return err
		}
	}
	return nil
}
