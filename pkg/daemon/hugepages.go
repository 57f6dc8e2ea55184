package daemon

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// A heap that grows by pages of 4 KiB pays for a page fault each, which in some virtual machines costs twenty microseconds:
// a third of a second in the start of kube-apiserver. So heaps grow by huge pages (Linux, transhuge.rst) in a start and under a load.
// When they are quiet they have small ones: a huge page is resident whole, however little of it is in use.

// startHeap is the part of the address space that a start's heap gets in advance, in bytes. What it does not touch takes no memory.
const startHeap = 128 << 20

// heapSpan is the part of the address space that the runtime lets a heap grow into first, in bytes, and a divisor of where that begins.
const heapSpan = 1 << 38

// mapStartHeap has the heap of a start grow by huge pages.
func mapStartHeap() {
	room := make([]byte, startHeap)
	adviseHeap(unix.MADV_HUGEPAGE)
	runtime.KeepAlive(room)
	runtime.GC() // the room is free from now on, and what is made next lies there
}

// adviseHeap tells the system, by an advice of madvise(2), which pages the heap is to have from now on.
func adviseHeap(advice uintptr) {
	base := uintptr(unsafe.Pointer(new(byte))) &^ (heapSpan - 1) // stacks lie in the heap, too
	err := eachMapping(func(m mapping) {
		if m.file() || m.mode != "rw-p" || m.start < base || m.start-base >= heapSpan {
			return
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.length, advice); errno != 0 {
			klog.V(2).InfoS("The pages of the heap stay as they are", "err", errno) // a kernel without huge pages
		}
	})
	if err != nil {
		klog.V(2).InfoS("The pages of the heap stay as they are", "err", err)
	}
}
