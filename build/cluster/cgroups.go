package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// hierarchies lists the machine's cgroup hierarchies by their folder below /sys/fs/cgroup: "" alone on a pure
// v2 machine, a folder a controller (and "unified") on v1 and hybrid ones.
func hierarchies() ([]string, error) {
	if unifiedAt(cgroupRoot) {
		return []string{""}, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() { // links are second names of co-mounted controllers
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no cgroup hierarchy is mounted at %s", cgroupRoot)
	}
	return names, nil
}

func unifiedAt(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// enterCgroups moves process pid into a subtree of the node's own in every hierarchy.
func (c Config) enterCgroups(node string, pid int) error {
	names, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range names {
		base := filepath.Join(cgroupRoot, h)
		path := base
		for _, part := range []string{"pilotis", c.Name, node} {
			if unifiedAt(base) {
				if err := delegate(path); err != nil {
					return err
				}
			}
			path = filepath.Join(path, part)
			if err := os.MkdirAll(path, 0o755); err != nil {
				return fmt.Errorf("cgroup %s: %w", path, err)
			}
			if h == "cpuset" {
				if err := inheritCpuset(path); err != nil {
					return err
				}
			}
		}
		if err := os.WriteFile(filepath.Join(path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("entering cgroup %s: %w", path, err)
		}
	}
	return nil
}

// endStrays kills every process in the cgroups of the node, or of the whole cluster when node is empty.
func (c Config) endStrays(node string) error {
	names, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range names {
		err := filepath.WalkDir(filepath.Join(cgroupRoot, h, "pilotis", c.Name, node), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
				return nil
			}
			if err != nil || d.Name() != "cgroup.procs" {
				return err
			}
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) { // gone, or threaded
				return nil
			}
			if err != nil {
				return err
			}
			for _, field := range strings.Fields(string(data)) {
				pid, err := strconv.Atoi(field)
				if err != nil || pid <= 0 { // 0 is a process outside our PID namespace
					continue
				}
				if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
					return fmt.Errorf("ending process %d: %w", pid, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// delegate enables every controller that the v2 cgroup at path has for its children.
func delegate(path string) error {
	available, err := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := os.ReadFile(filepath.Join(path, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(available)) {
		if strings.Contains(" "+string(enabled)+" ", " "+controller+" ") {
			continue
		}
		err := os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
		// The root of a hybrid machine's v2 hierarchy holds processes: its few controllers stay where they are.
		if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("delegating cgroup controller %s at %s: %w", controller, path, err)
		}
	}
	return nil
}

// inheritCpuset copies the parent's processors and memory nodes: an empty v1 cpuset takes no process.
func inheritCpuset(path string) error {
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		have, err := os.ReadFile(filepath.Join(path, f))
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(have)) != "" {
			continue
		}
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(path), f))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(path, f), parent, 0o644); err != nil {
			return fmt.Errorf("cpuset %s: %w", path, err)
		}
	}
	return nil
}

// removeCgroups removes what enterCgroups and the node made below; the kernel needs a moment after the last
// process of a cgroup has ended.
func (c Config) removeCgroups() error {
	names, err := hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(15 * time.Second)
	for _, h := range names {
		top := filepath.Join(cgroupRoot, h, "pilotis")
		for {
			err := removeTree(filepath.Join(top, c.Name))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
		// The last cluster takes the common parent along; another cluster's folder keeps it.
		if err := unix.Rmdir(top); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

func removeTree(path string) error {
	var dirs []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := unix.Rmdir(dirs[i]); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing cgroup %s: %w", dirs[i], err)
		}
	}
	return nil
}
