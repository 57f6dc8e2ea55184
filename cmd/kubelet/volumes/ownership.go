package volumes

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	v1 "k8s.io/api/core/v1"
)

// Permissions that a group gets on a volume (API doc of fsGroup).
const (
	groupRead  = 0o440
	groupWrite = 0o660
	groupEnter = 0o110
)

// applyFSGroup gives a volume to the pod's fsGroup, if it has one: the group owns everything in it, may read and
// write, and owns what is created later.
func (m *Manager) applyFSGroup(dir string, pod *v1.Pod) error {
	group := fsGroup(pod)
	if group == nil {
		return nil
	}
	if GroupSettled(dir, pod, *group) {
		return nil
	}
	return GiveToGroup(dir, *group, false)
}

// GroupSettled reports that the group owns the volume's root folder already, and that this is enough for the pod
// (fsGroupChangePolicy OnRootMismatch).
func GroupSettled(dir string, pod *v1.Pod, group int64) bool {
	sc := pod.Spec.SecurityContext
	return sc != nil && sc.FSGroupChangePolicy != nil && *sc.FSGroupChangePolicy == v1.FSGroupChangeOnRootMismatch && ownedBy(dir, group)
}

// ownedBy reports that the folder has the group, the permissions and the setgid bit that GiveToGroup gives last.
func ownedBy(dir string, group int64) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	const want = groupWrite | groupEnter
	return ok && int64(stat.Gid) == group && info.Mode().Perm()&want == want && info.Mode()&os.ModeSetgid != 0
}

// GiveToGroup makes group the owner of everything in dir. Symbolic links are changed themselves, never what they point
// to. The root comes last: its state tells that the rest is done.
func GiveToGroup(dir string, group int64, readOnly bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() // a folder handle
	var dirs []string
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			dirs = append(dirs, path)
			return nil
		}
		return giveOne(root, path, d, group, readOnly)
	})
	if err != nil {
		return fmt.Errorf("giving %s to group %d: %w", dir, group, err)
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		info, err := root.Lstat(dirs[i])
		if err == nil {
			err = giveOne(root, dirs[i], fs.FileInfoToDirEntry(info), group, readOnly)
		}
		if err != nil {
			return fmt.Errorf("giving %s to group %d: %w", filepath.Join(dir, dirs[i]), group, err)
		}
	}
	return nil
}

func giveOne(root *os.Root, path string, d fs.DirEntry, group int64, readOnly bool) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	if err := root.Lchown(path, -1, int(group)); err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		return nil
	}
	mode := info.Mode().Perm() | groupWrite
	if readOnly {
		mode = info.Mode().Perm() | groupRead
	}
	special := info.Mode() & (os.ModeSetuid | os.ModeSetgid | os.ModeSticky)
	if info.IsDir() {
		mode |= groupEnter
		special |= os.ModeSetgid
	}
	return root.Chmod(path, mode|special)
}
