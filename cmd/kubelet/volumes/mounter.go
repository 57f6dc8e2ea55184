package volumes

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mounter is the part of the kernel that this package needs. Tests have one in memory.
type mounter interface {
	// Mount mounts a filesystem with options as in fstab.
	Mount(source, target, fstype string, options []string) error
	// Bind mounts the file that fd holds (opened with O_PATH) at target.
	Bind(fd int, target string, readOnly bool) error
	// Mounted reports whether path is a mount point.
	Mounted(path string) (bool, error)
	// Unmount takes the topmost mount at target away. Nothing mounted is no error.
	Unmount(target string) error
	// Below lists the mount points at or below dir, deepest first.
	Below(dir string) ([]string, error)
}

// kernel mounts by system calls.
type kernel struct{}

func (kernel) Mount(source, target, fstype string, options []string) error {
	flags, data := mountFlags(options)
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", fstype, target, err)
	}
	return nil
}

// mountFlags splits options into what mount(2) takes as flags and what it hands to the filesystem.
func mountFlags(options []string) (flags uintptr, data string) {
	known := map[string]uintptr{"ro": unix.MS_RDONLY, "rw": 0, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC, "noatime": unix.MS_NOATIME, "sync": unix.MS_SYNCHRONOUS, "defaults": 0}
	var rest []string
	for _, o := range options {
		if f, ok := known[o]; ok {
			flags |= f
		} else if o != "" {
			rest = append(rest, o)
		}
	}
	return flags, strings.Join(rest, ",")
}

func (kernel) Bind(fd int, target string, readOnly bool) error {
	source := fmt.Sprintf("/proc/self/fd/%d", fd)
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind mount at %s: %w", target, err)
	}
	// Private: what is mounted or unmounted below the source later must not come and go with this one.
	if err := unix.Mount("", target, "", unix.MS_PRIVATE, ""); err != nil {
		unix.Unmount(target, unix.MNT_DETACH) //nolint:errcheck // the first error is told
		return fmt.Errorf("making the bind mount at %s private: %w", target, err)
	}
	if !readOnly {
		return nil
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, 0, &attr); err != nil {
		unix.Unmount(target, unix.MNT_DETACH) //nolint:errcheck // the first error is told
		return fmt.Errorf("making the bind mount at %s read-only: %w", target, err)
	}
	return nil
}

func (kernel) Mounted(path string) (bool, error) {
	mounted, err := mountinfo.Mounted(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return mounted, err
}

func (kernel) Unmount(target string) error {
	err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fmt.Errorf("unmounting %s: %w", target, err)
}

func (kernel) Below(dir string) ([]string, error) {
	list, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, err
	}
	var points []string
	for i := len(list) - 1; i >= 0; i-- { // the kernel lists a mount after the one it lies on
		points = append(points, list[i].Mountpoint)
	}
	return points, nil
}
