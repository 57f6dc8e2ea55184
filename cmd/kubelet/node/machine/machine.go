// Package machine reads what the kernel says of the machine this node runs on: processors, memory, disks, identity.
package machine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/utils/cpuset"
)

// Info is what does not change while the kubelet runs.
type Info struct {
	CPUs       int
	Memory     uint64            // bytes
	Swap       uint64            // bytes
	HugePages  map[uint64]uint64 // pages by page size in bytes
	MachineID  string
	SystemUUID string
	BootID     string
	Kernel     string
	OSImage    string
}

// Root is the folder that /proc, /sys and /etc lie in; tests have one of their own.
type Root string

// Host is this machine.
const Host Root = "/"

func (r Root) path(p string) string { return filepath.Join(string(r), p) }

func (r Root) text(p string) string {
	data, err := os.ReadFile(r.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// Read reads Info. Only a machine without /proc/meminfo is an error.
func (r Root) Read() (Info, error) {
	mem, err := r.meminfo()
	if err != nil {
		return Info{}, err
	}
	info := Info{
		CPUs: r.cpus(), Memory: mem["MemTotal"], Swap: mem["SwapTotal"], HugePages: r.hugePages(),
		MachineID: r.text("etc/machine-id"), SystemUUID: strings.ToLower(r.text("sys/class/dmi/id/product_uuid")), BootID: r.text("proc/sys/kernel/random/boot_id"),
		Kernel: r.text("proc/sys/kernel/osrelease"), OSImage: r.osImage(),
	}
	if info.MachineID == "" {
		info.MachineID = r.text("var/lib/dbus/machine-id")
	}
	if info.SystemUUID == "" {
		info.SystemUUID = info.MachineID
	}
	return info, nil
}

// cpus counts the processors that are online.
func (r Root) cpus() int {
	if set, err := cpuset.Parse(r.text("sys/devices/system/cpu/online")); err == nil && set.Size() > 0 {
		return set.Size()
	}
	return runtime.NumCPU()
}

// meminfo reads /proc/meminfo in bytes.
func (r Root) meminfo() (map[string]uint64, error) {
	f, err := os.Open(r.path("proc/meminfo"))
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	values := map[string]uint64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, rest, ok := strings.Cut(lines.Text(), ":")
		parts := strings.Fields(rest)
		if !ok || len(parts) == 0 {
			continue
		}
		n, err := strconv.ParseUint(parts[0], 10, 64)
		if err != nil {
			continue
		}
		if len(parts) > 1 && parts[1] == "kB" {
			n *= 1024
		}
		values[name] = n
	}
	if values["MemTotal"] == 0 {
		return nil, fmt.Errorf("%s names no MemTotal", f.Name())
	}
	return values, lines.Err()
}

// AvailableMemory is what can be used without swapping, in bytes, of the total.
func (r Root) AvailableMemory() (available, total uint64, err error) {
	mem, err := r.meminfo()
	if err != nil {
		return 0, 0, err
	}
	return mem["MemAvailable"], mem["MemTotal"], nil
}

// SwapUsage is the swap in use, of the total, in bytes.
func (r Root) SwapUsage() (used, total uint64, err error) {
	mem, err := r.meminfo()
	if err != nil {
		return 0, 0, err
	}
	return mem["SwapTotal"] - mem["SwapFree"], mem["SwapTotal"], nil
}

func (r Root) hugePages() map[uint64]uint64 {
	found := map[uint64]uint64{}
	dirs, _ := filepath.Glob(r.path("sys/kernel/mm/hugepages/hugepages-*kB"))
	for _, dir := range dirs {
		size, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(dir), "hugepages-"), "kB"), 10, 64)
		if err != nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "nr_hugepages"))
		if err != nil {
			continue
		}
		count, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
		if err != nil {
			continue
		}
		found[size*1024] = count
	}
	return found
}

// osImage is PRETTY_NAME of os-release(5).
func (r Root) osImage() string {
	for _, p := range []string{"etc/os-release", "usr/lib/os-release"} {
		for _, line := range strings.Split(r.text(p), "\n") {
			if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				return strings.Trim(v, `"'`)
			}
		}
	}
	return "Linux"
}

// PIDs are the processes and threads there are, and the most there can be.
func (r Root) PIDs() (running, limit int64, err error) {
	// The fourth field of loadavg is running/existing scheduling entities.
	parts := strings.Fields(r.text("proc/loadavg"))
	if len(parts) < 4 {
		return 0, 0, fmt.Errorf("%s has no count of processes", r.path("proc/loadavg"))
	}
	_, all, _ := strings.Cut(parts[3], "/")
	if running, err = strconv.ParseInt(all, 10, 64); err != nil {
		return 0, 0, err
	}
	if limit, err = strconv.ParseInt(r.text("proc/sys/kernel/pid_max"), 10, 64); err != nil {
		return 0, 0, err
	}
	if threads, err := strconv.ParseInt(r.text("proc/sys/kernel/threads-max"), 10, 64); err == nil {
		limit = min(limit, threads)
	}
	return running, limit, nil
}

// Filesystem is the state of the filesystem that holds a path; sizes are bytes.
type Filesystem struct {
	Capacity, Available, Used uint64
	Inodes, InodesFree        uint64
}

// ReadFilesystem asks the filesystem that holds path.
func ReadFilesystem(path string) (Filesystem, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Filesystem{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	size := uint64(s.Bsize) // never negative
	return Filesystem{Capacity: s.Blocks * size, Available: s.Bavail * size, Used: (s.Blocks - s.Bfree) * size, Inodes: s.Files, InodesFree: s.Ffree}, nil
}
