package daemon

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// memoryOf reads a figure of /proc/self/smaps_rollup, in bytes.
func memoryOf(t *testing.T, name string) int {
	t.Helper()
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Skip(err)
	}
	_, after, _ := strings.Cut(string(rollup), "\n"+name+":")
	var kB int
	if _, err := fmt.Sscan(after, &kB); err != nil {
		t.Fatal(err)
	}
	return kB << 10
}

// What a start fills comes in huge pages, and what it leaves is given back.
func TestTheHeapOfAStartHasHugePages(t *testing.T) {
	mode, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(mode), "[never]") {
		t.Skip("this kernel has no transparent huge pages")
	}
	const piece, pieces = 64 << 10, 512
	mapStartHeap()
	var made [pieces][]byte
	for i := range made {
		made[i] = make([]byte, piece)
		for at := 0; at < piece; at += 4096 {
			made[i][at] = 1
		}
	}
	const filled = piece * pieces
	if huge := memoryOf(t, "AnonHugePages"); huge < filled/2 {
		t.Errorf("%d bytes of the heap lie in huge pages, of %d that were filled", huge, filled)
	}
	full := memoryOf(t, "Anonymous")
	runtime.KeepAlive(&made)
	releaseHeap()
	if left := memoryOf(t, "Anonymous"); left > full-filled/2 {
		t.Errorf("%d bytes are in memory after the release, %d before", left, full)
	}
}
