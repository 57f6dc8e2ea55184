package volumes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Names that the atomic writer keeps for itself; no file of a volume may begin with two dots.
const (
	dataLink    = "..data"
	dataLinkNew = "..data_tmp"
)

// file is one file of a volume's content.
type file struct {
	data []byte
	mode os.FileMode
	uid  *int64 // owner; nil: root
}

// content is a volume's files by their path inside it.
type content map[string]file

// maxPath and maxName are what filesystems take, in bytes.
const (
	maxPath = 4096
	maxName = 255
)

// checkPath refuses a path that leaves the volume or that the writer needs for itself.
func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("invalid path: must not be empty")
	case filepath.IsAbs(path):
		return fmt.Errorf("invalid path: must be relative path: %s", path)
	case len(path) > maxPath:
		return fmt.Errorf("invalid path: must be less than or equal to %d characters", maxPath)
	case strings.ContainsRune(path, 0):
		return errors.New("invalid path: must not contain a zero byte")
	}
	for i, part := range strings.Split(path, "/") {
		switch {
		case part == "..":
			return fmt.Errorf("invalid path: must not contain '..': %s", path)
		case len(part) > maxName:
			return fmt.Errorf("invalid path: filenames must be less than or equal to %d characters", maxName)
		case i == 0 && strings.HasPrefix(part, ".."):
			return fmt.Errorf("invalid path: must not start with '..': %s", path)
		}
	}
	return nil
}

// write makes dir show exactly the files of c. Readers see the old files or the new, never a mixture: the files of one
// version lie in a folder of their own, ..data points to it, and every name in the volume points through ..data.
// Nothing outside dir is touched whatever links a container may have put there (CVE-2017-1002102). owned is called
// with the new folder before it is shown.
func write(dir string, c content, owned func(versionDir string) error) (changed bool, err error) {
	for path := range c {
		if err := checkPath(path); err != nil {
			return false, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close() // a folder handle
	old, err := root.Readlink(dataLink)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if old != "" && same(root, old, c) {
		return false, removeStale(root, old, c)
	}
	version, err := newVersion(root)
	if err != nil {
		return false, err
	}
	if err := fill(root, version, c); err != nil {
		return false, errors.Join(err, root.RemoveAll(version))
	}
	if owned != nil {
		if err := owned(filepath.Join(dir, version)); err != nil {
			return false, errors.Join(err, root.RemoveAll(version))
		}
	}
	if err := show(root, version, c); err != nil {
		return false, err
	}
	return true, removeStale(root, version, c)
}

// newVersion makes the folder of a version, named by the time.
func newVersion(root *os.Root) (string, error) {
	for i := 0; ; i++ {
		name := fmt.Sprintf("..%s.%09d", time.Now().UTC().Format("2006_01_02_15_04_05"), time.Now().Nanosecond()+i)
		err := root.Mkdir(name, 0o755)
		if err == nil {
			return name, root.Chmod(name, 0o755)
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
}

func fill(root *os.Root, version string, c content) error {
	for path, f := range c {
		name := filepath.Join(version, path)
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, f.data, f.mode); err != nil {
			return err
		}
		if err := root.Chmod(name, f.mode); err != nil { // WriteFile is subject to the umask
			return err
		}
		if f.uid != nil {
			if err := root.Chown(name, int(*f.uid), -1); err != nil {
				return err
			}
		}
	}
	return nil
}

// show points ..data to the version in one step, and gives each top-level name its link.
func show(root *os.Root, version string, c content) error {
	if err := root.Remove(dataLinkNew); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.Symlink(version, dataLinkNew); err != nil {
		return err
	}
	if err := root.Rename(dataLinkNew, dataLink); err != nil {
		return err
	}
	for name := range topLevel(c) {
		if have, err := root.Readlink(name); err == nil && have == filepath.Join(dataLink, name) {
			continue
		}
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		if err := root.Symlink(filepath.Join(dataLink, name), name); err != nil {
			return err
		}
	}
	return nil
}

func topLevel(c content) map[string]struct{} {
	names := map[string]struct{}{}
	for path := range c {
		first, _, _ := strings.Cut(filepath.Clean(path), "/")
		names[first] = struct{}{}
	}
	return names
}

// removeStale removes names that are not shown any more and the folders of other versions.
func removeStale(root *os.Root, version string, c content) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	names := topLevel(c)
	var errs []error
	for _, e := range entries {
		_, shown := names[e.Name()]
		if !shown && e.Name() != version && e.Name() != dataLink {
			errs = append(errs, root.RemoveAll(e.Name()))
		}
	}
	return errors.Join(errs...)
}

// same reports whether the version holds exactly the files of c.
func same(root *os.Root, version string, c content) bool {
	if version != filepath.Base(version) || !strings.HasPrefix(version, "..") {
		return false // not a link of ours
	}
	found := 0
	err := fs.WalkDir(root.FS(), version, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(version, path)
		if err != nil {
			return err
		}
		want, ok := c.lookup(rel)
		if !ok {
			return errDiffers
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		have, err := root.ReadFile(path)
		if err != nil {
			return err
		}
		// fsGroup may have added permissions; none that are wanted may lack.
		if !bytes.Equal(have, want.data) || info.Mode().Perm()&want.mode != want.mode {
			return errDiffers
		}
		found++
		return nil
	})
	return err == nil && found == len(c)
}

var errDiffers = errors.New("the content differs")

func (c content) lookup(path string) (file, bool) {
	if f, ok := c[path]; ok {
		return f, true
	}
	for p, f := range c {
		if filepath.Clean(p) == path {
			return f, true
		}
	}
	return file{}, false
}
