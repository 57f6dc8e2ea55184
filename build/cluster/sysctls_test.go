package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

// The first cluster raises a limit, a second finds it raised; the value of before comes back after the last.
func TestSysctlsComeBackAfterTheLastCluster(t *testing.T) {
	dir := t.TempDir()
	s := sysctls{root: dir, before: filepath.Join(dir, "state", "sysctls.json")}
	limit := filepath.Join(dir, "fs/inotify/max_user_instances")
	if err := os.MkdirAll(filepath.Dir(limit), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, value := range map[string]string{limit: "128\n", filepath.Join(dir, "fs/inotify/max_user_watches"): "9000000\n"} {
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	is := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(limit); err != nil || string(got) != want {
			t.Errorf("the limit is %q (%v), want %q", got, err, want)
		}
	}
	for range 2 {
		if err := s.raise(); err != nil {
			t.Fatal(err)
		}
		is("8192")
	}
	if err := s.restore(); err != nil {
		t.Fatal(err)
	}
	is("128")
	if _, err := os.Stat(s.before); !os.IsNotExist(err) {
		t.Errorf("the values of before are still remembered: %v", err)
	}
}
