package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountNode gives the node a file system of its own: the machine's programs and libraries stay visible, and
// every place that a node writes to is the node's. Default paths (/etc/kubernetes, /var/lib/kubelet,
// /run/containerd …) therefore work in each node, and the machine stays clean.
func (c Config) mountNode(n Node) error {
	dir := c.nodeDir(n.Name)
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "") },
		func() error { return mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "") },
		mountCgroups,
		func() error { return overlay("/etc", filepath.Join(dir, "etc")) },
		func() error { return writeNodeFiles(c, n) },
		func() error { return bindFresh(filepath.Join(dir, "bin"), "/usr/local/bin", c.nodePrograms()) },
		func() error { return bindFresh(filepath.Join(dir, "opt"), "/opt", nil) },
		func() error { return bindFresh(filepath.Join(dir, "run"), "/run", nil) },
		// The machine's own folders, the repository among them, are hidden last but for the temporary ones.
		func() error { return bindFresh(filepath.Join(dir, "var"), "/var", nil) },
		makeSkeleton,
		hideMachineFolders,
		func() error { return mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("file system of node %s: %w", n.Name, err)
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mounting %s at %s: %w%s", kind, target, err, missingModule(err, kind))
	}
	return nil
}

// mountCgroups shows the node's subtree of every hierarchy as the root, which the cgroup namespace makes of it.
// The hierarchies the machine mounted are not touched: this is a fresh tmpfs in the node's mount namespace.
func mountCgroups() error {
	names, err := machineHierarchies()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if err := mount("cgroup2", cgroupRoot, "cgroup2", 0, ""); err != nil {
			return err
		}
		return settleUnified()
	}
	if err := mount("tmpfs", cgroupRoot, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, h := range names {
		target := filepath.Join(cgroupRoot, h.dir)
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
		if err := mount("cgroup", target, h.kind, 0, h.options); err != nil {
			return err
		}
	}
	return nil
}

type hierarchy struct{ dir, kind, options string }

// machineHierarchies reads from /proc/self/mountinfo what is mounted below /sys/fs/cgroup; it is empty on a pure
// v2 machine.
func machineHierarchies() ([]hierarchy, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	return mountedHierarchies(string(data)), err
}

func mountedHierarchies(mountinfo string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		fields, super := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(super) < 3 {
			continue
		}
		dir, ok := strings.CutPrefix(fields[4], cgroupRoot+"/")
		if !ok {
			continue
		}
		switch super[0] {
		case "cgroup2":
			found = append(found, hierarchy{dir, "cgroup2", ""})
		case "cgroup":
			found = append(found, hierarchy{dir, "cgroup", v1Options(super[2])})
		}
	}
	return found
}

// v1Options keeps of a v1 hierarchy's mount options what names it: controllers, or name= of a bare one.
func v1Options(options string) string {
	var kept []string
	for _, o := range strings.Split(options, ",") {
		switch {
		case o == "rw" || o == "ro" || o == "xattr" || strings.HasPrefix(o, "release_agent="):
		case strings.HasPrefix(o, "name="):
			kept = append(kept, "none", o)
		default:
			kept = append(kept, o)
		}
	}
	return strings.Join(kept, ",")
}

// settleUnified moves init into a leaf, as cgroup v2 wants processes in leaves alone, and hands every
// controller down to the node's other children.
func settleUnified() error {
	leaf := filepath.Join(cgroupRoot, "init")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("1"), 0o644); err != nil {
		return err
	}
	return delegate(cgroupRoot)
}

// overlay makes changes below target land in dir.
func overlay(target, dir string) error {
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", target, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", target, upper, work))
}

// bindFresh shows dir at target, with files (name to source) copied into it.
func bindFresh(dir, target string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, source := range files {
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := replaceFile(filepath.Join(dir, name), data, 0o755); err != nil {
			return err
		}
	}
	return mount(dir, target, "", unix.MS_BIND, "")
}

// replaceFile writes a new file at path: one that runs or is held open is left to its holders.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	if err := os.WriteFile(path+".new", data, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// nodePrograms are what a node's administrator finds in its path.
func (c Config) nodePrograms() map[string]string {
	programs := map[string]string{}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "kubelet", "kubeadm", "kubectl", "etcdctl"} {
		programs[name] = c.bin(name)
	}
	return programs
}

// makeSkeleton makes the folders that programs expect in an empty /var, /run and /opt.
func makeSkeleton() error {
	for _, d := range []string{"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers",
		"/var/cache", "/var/spool", "/run/containerd", "/run/lock", "/opt/cni/bin", "/etc/cni/net.d", "/etc/kubernetes/manifests"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll("/var/tmp", 0o1777); err != nil {
		return err
	}
	if err := os.Symlink("/run", "/var/run"); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// hideMachineFolders keeps a pod's hostPath volumes away from people's files.
func hideMachineFolders() error {
	for _, d := range []string{"/tmp", "/home", "/root", "/mnt", "/media", "/srv"} {
		if _, err := os.Stat(d); err != nil {
			continue
		}
		mode := "mode=755"
		if d == "/tmp" {
			mode = "mode=1777"
		}
		if err := mount("tmpfs", d, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, mode); err != nil {
			return err
		}
	}
	return nil
}
