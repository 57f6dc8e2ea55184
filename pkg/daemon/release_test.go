package daemon

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestOnlyTheProgramsReadOnlyPagesAreReleased(t *testing.T) {
	const program = "/usr/local/bin/kube-scheduler"
	for _, c := range []struct {
		line          string
		start, length uintptr
	}{
		{"00400000-02eb2000 r-xp 00000000 00:51 1229870                            " + program, 0x400000, 0x2ab2000},
		{"02eb2000-0616f000 r--p 02ab2000 00:51 1229870                            " + program, 0x2eb2000, 0x32bd000},
		{"0616f000-0624a000 rw-p 05d6f000 00:51 1229870                            " + program, 0, 0}, // its variables
		{"c000000000-c004000000 rw-p 00000000 00:00 0", 0, 0},                                         // the heap
		{"7f0000000000-7f0000001000 r--p 00000000 00:51 7 /usr/share/zoneinfo/UTC", 0, 0},
		{"7f0000000000-7f0000001000 r--s 00000000 00:51 7 " + program, 0, 0}, // shared: somebody else's business
		{"", 0, 0},
	} {
		start, length, ok := programPages(c.line, program)
		if ok != (c.length > 0) || ok && (start != c.start || length != c.length) {
			t.Errorf("%s: got %x, %x, %v", c.line, start, length, ok)
		}
	}
}

// The program goes on after its pages were released, and fewer of them are in memory.
func TestPagesAreReleased(t *testing.T) {
	resident := func() int {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(status), "RssFile:")
		var kB int
		if _, err := fmt.Sscan(after, &kB); err != nil {
			t.Fatal(err)
		}
		return kB
	}
	before := resident()
	releaseStart()
	if after := resident(); after >= before {
		t.Errorf("%d kB of files are in memory, %d kB before", after, before)
	}
}
