package volumes

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSubPathNeverLeavesTheVolume(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		prepare func(volume string) error
		sub     string
		want    string // below the volume; empty: refused
	}{
		{"a folder", func(v string) error { return os.Mkdir(v+"/dir", 0o755) }, "dir", "dir"},
		{"a file", func(v string) error { return os.WriteFile(v+"/f", nil, 0o644) }, "f", "f"},
		{"a missing folder is made", func(string) error { return nil }, "new/er", "new/er"},
		{"a link inside", func(v string) error { return errors.Join(os.Mkdir(v+"/real", 0o755), os.Symlink("real", v+"/link")) }, "link", "real"},
		{"a relative link up and back", func(v string) error { return errors.Join(os.MkdirAll(v+"/a/b", 0o755), os.Symlink("../a", v+"/a/up")) }, "a/up/b", "a/b"},
		{"the volume's own files", func(v string) error { _, err := write(v, files("key", "v"), nil); return err }, "key", "*"},
		{"an absolute link", func(v string) error { return os.Symlink(outside, v+"/link") }, "link", ""},
		{"a link to the root", func(v string) error { return os.Symlink("/", v+"/link") }, "link" + outside, ""},
		{"a link up", func(v string) error { return os.Symlink("../../..", v+"/link") }, "link", ""},
		{"a dangling link out is not followed to make a folder", func(v string) error { return os.Symlink(outside+"/made", v+"/link") }, "link/x", ""},
		{"a dangling relative link out", func(v string) error { return os.Symlink("../made", v+"/link") }, "link/x", ""},
		{"dots", func(string) error { return nil }, "../x", ""},
		{"dots inside", func(v string) error { return os.Mkdir(v+"/a", 0o755) }, "a/../..", ""},
		{"absolute", func(string) error { return nil }, "/etc", ""},
		{"a magic link", func(v string) error { return os.Symlink("/proc/self/root", v+"/link") }, "link", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, mounts, _ := world(t)
			volume := t.TempDir()
			if err := c.prepare(volume); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadDir(outside)
			got, err := m.SubPath("u1", "app", 0, "vol", volume, c.sub, false)
			after, _ := os.ReadDir(outside)
			if len(before) != len(after) {
				t.Errorf("something was made outside: %v", after)
			}
			if entries, _ := os.ReadDir(filepath.Dir(volume)); len(entries) > 3 {
				t.Errorf("something was made beside the volume: %v", entries)
			}
			if c.want == "" {
				if err == nil {
					t.Errorf("accepted: %s shows %s", got, mounts.bound[got])
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(volume, c.want); c.want != "*" && mounts.bound[got] != want {
				t.Errorf("binds %s, want %s", mounts.bound[got], want)
			}
			if !strings.HasPrefix(mounts.bound[got], volume+"/") {
				t.Errorf("binds %s outside %s", mounts.bound[got], volume)
			}
			again, err := m.SubPath("u1", "app", 0, "vol", volume, c.sub, false)
			if err != nil || again != got || len(mounts.mounts) != 1 {
				t.Errorf("a second start gives %s, %v with mounts %v", again, err, mounts.mounts)
			}
		})
	}
}

func TestAMissingFolderIsMadeForAReadOnlyMountToo(t *testing.T) {
	m, mounts, _ := world(t)
	volume := t.TempDir()
	got, err := m.SubPath("u1", "app", 0, "vol", volume, "new/a..b", true)
	if want := filepath.Join(volume, "new/a..b"); err != nil || mounts.bound[got] != want {
		t.Errorf("binds %q (error %v), want %s", mounts.bound[got], err, want)
	}
}

func TestSubPathFollowsNoLinkThatIsSwappedIn(t *testing.T) {
	m, mounts, _ := world(t)
	volume, outside := t.TempDir(), t.TempDir()
	stop, done := make(chan struct{}), make(chan struct{})
	if err := errors.Join(os.Mkdir(volume+"/dir", 0o755), os.Symlink(outside, volume+"/evil")); err != nil {
		t.Fatal(err)
	}
	go func() { // a container that swaps a folder and a link to the outside as fast as it can
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, move := range [][2]string{{"/dir", "/tmp"}, {"/evil", "/dir"}, {"/dir", "/evil"}, {"/tmp", "/dir"}} {
				_ = os.Rename(volume+move[0], volume+move[1]) // fails where SubPath made the folder meanwhile
			}
		}
	}()
	for range 500 {
		target, err := m.SubPath("u1", "app", 0, "vol", volume, "dir", true)
		if err != nil {
			continue
		}
		if bound := mounts.bound[target]; bound == outside || !strings.HasPrefix(bound, volume) {
			t.Errorf("binds %s", bound)
		}
	}
	close(stop)
	<-done
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("came to the outside: %v", entries)
	}
}

func FuzzSubPath(f *testing.F) {
	for _, s := range []string{"a", "a/b", "../a", "link/x", "./a", "a//b", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sub string) {
		m, mounts, _ := world(t)
		volume := filepath.Join(t.TempDir(), "v")
		if err := errors.Join(os.Mkdir(volume, 0o755), os.Symlink("..", volume+"/link")); err != nil {
			t.Fatal(err)
		}
		target, err := m.SubPath("u1", "app", 0, "vol", volume, sub, false)
		if err != nil {
			return
		}
		if bound := mounts.bound[target]; bound != volume && !strings.HasPrefix(bound, volume+"/") {
			t.Fatalf("%q binds %s", sub, bound)
		}
	})
}
