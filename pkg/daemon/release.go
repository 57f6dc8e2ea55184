package daemon

import (
	"os"
	"runtime/debug"
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
	releaseHeap()
	program, err := os.Readlink("/proc/self/exe")
	if err == nil {
		err = eachMapping(func(m mapping) {
			if !m.ofProgram(program) {
				return
			}
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED); errno != 0 {
				klog.V(2).InfoS("The program's pages of the start are kept", "err", errno)
			}
		})
	}
	if err != nil {
		klog.V(2).InfoS("The program's pages of the start are kept", "err", err)
	}
}

// releaseHeap gives freed heap back. What is left is kept in small pages, or the system would fill huge ones up again.
func releaseHeap() {
	adviseHeap(unix.MADV_NOHUGEPAGE)
	debug.FreeOSMemory()
}

// ofProgram reports that m is a read-only part of the program.
func (m mapping) ofProgram(program string) bool {
	return m.path == program && m.mode[0] == 'r' && m.mode[1] == '-' && m.mode[3] == 'p'
}
