package volumes

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountFlags(t *testing.T) {
	for _, c := range []struct {
		options []string
		flags   uintptr
		data    string
	}{
		{nil, 0, ""},
		{[]string{"defaults", "rw"}, 0, ""},
		{[]string{"ro", "nosuid", "size=1", "noswap"}, unix.MS_RDONLY | unix.MS_NOSUID, "size=1,noswap"},
		{[]string{"mode=0777", "", "noexec"}, unix.MS_NOEXEC, "mode=0777"},
	} {
		if flags, data := mountFlags(c.options); flags != c.flags || data != c.data {
			t.Errorf("%v: %#x %q", c.options, flags, data)
		}
	}
}

// TestKernelKnowsWhatIsNoMount needs no rights: it mounts nothing.
func TestKernelKnowsWhatIsNoMount(t *testing.T) {
	dir := t.TempDir()
	if mounted, err := (kernel{}).Mounted(dir); mounted || err != nil {
		t.Errorf("a folder is mounted: %v, %v", mounted, err)
	}
	if mounted, err := (kernel{}).Mounted(dir + "/none"); mounted || err != nil {
		t.Errorf("nothing is mounted: %v, %v", mounted, err)
	}
	if mounted, err := (kernel{}).Mounted("/proc"); !mounted || err != nil {
		t.Errorf("/proc is not mounted: %v, %v", mounted, err)
	}
	points, err := (kernel{}).Below("/proc")
	if err != nil || len(points) == 0 || points[len(points)-1] != "/proc" {
		t.Errorf("below /proc: %v, %v", points, err)
	}
	if points, err := (kernel{}).Below(dir); len(points) != 0 || err != nil {
		t.Errorf("below %s: %v, %v", dir, points, err)
	}
}
