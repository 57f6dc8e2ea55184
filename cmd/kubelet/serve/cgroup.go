package serve

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cgroupUse is what a control group uses.
type cgroupUse struct {
	cpu        uint64 // nanoseconds
	memory     uint64 // bytes, page cache included
	workingSet uint64 // bytes that cannot easily be given back
	rss        uint64
	faults     uint64
	major      uint64
}

// readCgroup reads the group at path below a hierarchy's root, on version 2 or 1. ok is false when there is none.
func readCgroup(root, path string) (use cgroupUse, ok bool) {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		dir := filepath.Join(root, path)
		cpu, okCPU := statFile(filepath.Join(dir, "cpu.stat"))
		use.cpu = cpu["usage_usec"] * uint64(time.Microsecond)
		if memory, err := number(filepath.Join(dir, "memory.current")); err == nil {
			stat, _ := statFile(filepath.Join(dir, "memory.stat"))
			use.setMemory(memory, stat["inactive_file"], stat["anon"], stat["pgfault"], stat["pgmajfault"])
		}
		return use, okCPU
	}
	cpu, err := number(filepath.Join(root, "cpuacct", path, "cpuacct.usage"))
	if err != nil {
		return use, false
	}
	use.cpu = cpu
	dir := filepath.Join(root, "memory", path)
	if memory, err := number(filepath.Join(dir, "memory.usage_in_bytes")); err == nil {
		stat, _ := statFile(filepath.Join(dir, "memory.stat"))
		use.setMemory(memory, stat["total_inactive_file"], stat["total_rss"], stat["total_pgfault"], stat["total_pgmajfault"])
	}
	return use, true
}

func (u *cgroupUse) setMemory(memory, inactive, rss, faults, major uint64) {
	u.memory, u.rss, u.faults, u.major = memory, rss, faults, major
	u.workingSet = memory - min(inactive, memory)
}

func number(path string) (uint64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
}

// statFile reads "name value" lines.
func statFile(path string) (map[string]uint64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false
	}
	defer f.Close() // read only
	values := map[string]uint64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64); err == nil {
			values[name] = n
		}
	}
	return values, true
}

// processorTime is the time that all processors worked, from /proc/stat, in nanoseconds: for a machine whose root
// group counts nothing.
func processorTime(proc string) uint64 {
	data, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(data), "\n")
	parts := strings.Fields(line)
	const ticksPerSecond = 100 // USER_HZ, fixed by the kernel's ABI
	var ticks uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 64)
		const idle, iowait = 4, 5
		if err == nil && i != idle && i != iowait && i <= 8 {
			ticks += n
		}
	}
	return ticks * uint64(time.Second) / ticksPerSecond
}
