package daemon

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// startIsOver is when nothing of a daemon's start goes on: what only the start needed can be given back.
const startIsOver = 15 * time.Second

// releaseStart gives back to the system what the start took and nothing uses since: freed heap, and the program's own
// pages (a daemon runs through most of its code once, to register and to build). Pages that are needed again come
// from the page cache.
func releaseStart() {
	debug.FreeOSMemory()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		klog.V(2).InfoS("The program's pages of the start are kept", "err", err)
		return
	}
	defer maps.Close()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		klog.V(2).InfoS("The program's pages of the start are kept", "err", err)
		return
	}
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		start, length, ok := programPages(lines.Text(), program)
		if !ok {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, length, unix.MADV_DONTNEED); errno != 0 {
			klog.V(2).InfoS("The program's pages of the start are kept", "err", errno)
		}
	}
}

// programPages tells where the read-only part of the program lies that a line of /proc/PID/maps describes (proc(5)).
func programPages(line, program string) (start, length uintptr, ok bool) {
	if !strings.HasSuffix(line, " "+program) {
		return 0, 0, false
	}
	var end uintptr
	var mode string
	if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &mode); err != nil || len(mode) != 4 || mode[0] != 'r' || mode[1] != '-' || mode[3] != 'p' {
		return 0, 0, false
	}
	return start, end - start, true
}
