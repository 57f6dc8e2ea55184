package act

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/fields"
)

func TestParseEnvFile(t *testing.T) {
	got, err := parseEnvFile("# a comment\n\n  A='1'\nB = 'two words # and more'  # why\r\nC='line 1\nline 2'\nA='last'\nD=''")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "last", "B": "two words # and more", "C": "line 1\nline 2", "D": ""} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
	for _, text := range []string{"A=1", `A="1"`, "A='1", "A", "='1'", "A\nB='1'", "A='1''2'", "A='1'$B", "A='1'#no", "export A='1'", "export"} {
		if got, err := parseEnvFile(text); err == nil {
			t.Errorf("%q gives %v", text, got)
		}
	}
	if _, err := parseEnvFile("A='1'\nB='2'\nPASSWORD=secret"); err == nil || !strings.Contains(err.Error(), "line 3") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v, want the line and no word of it", err)
	}
}

func TestVariablesOfAnEnvFile(t *testing.T) {
	a, _ := actor(t, nil)
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "host.env")
	for path, text := range map[string]string{filepath.Join(dir, "app.env"): "KEY='value'", filepath.Join(dir, "broken.env"): "KEY=", filepath.Join(dir, "long.env"): strings.Repeat("#", maxEnvFile+1), outside: "KEY='host'"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.env")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe.env"), 0o600); err != nil {
		t.Fatal(err)
	}
	volumes := map[string]Volume{"v": {HostPath: dir}}
	for _, tt := range []struct {
		name, volume, path, key string
		optional                bool
		want                    []string
		fails                   bool
	}{
		{"a key", "v", "app.env", "KEY", false, []string{"value"}, false},
		{"no such key", "v", "app.env", "NONE", false, nil, true},
		{"no such key, and optional", "v", "app.env", "NONE", true, nil, false},
		{"no such file", "v", "none.env", "KEY", false, nil, true},
		{"no such file, and optional", "v", "none.env", "KEY", true, nil, false},
		{"a volume that nobody mounts, and optional", "none", "app.env", "KEY", true, nil, false},
		{"a broken file", "v", "broken.env", "KEY", true, nil, true},
		{"a long file", "v", "long.env", "KEY", true, nil, true},
		{"a link to the host", "v", "link.env", "KEY", true, nil, true},
		{"a pipe that nobody writes to", "v", "pipe.env", "KEY", true, nil, true},
	} {
		c := &v1.Container{Env: []v1.EnvVar{{Name: "X", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{VolumeName: tt.volume, Path: tt.path, Key: tt.key, Optional: ptr.To(tt.optional)}}}}}
		list, err := a.environment(fields.Pod{Pod: pod(nil)}, c, volumes)
		value, set := env(list)["X"]
		if (err != nil) != tt.fails || set != (tt.want != nil) || (set && value != tt.want[0]) {
			t.Errorf("%s: %q (set %v), error %v", tt.name, value, set, err)
		}
	}
}

func FuzzParseEnvFile(f *testing.F) {
	f.Add("A='1' # x\nB='2\n3'")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := parseEnvFile(text)
		if err == nil && len(values) > strings.Count(text, "=") {
			t.Errorf("%q gives %v", text, values)
		}
	})
}

func TestAVolumeThatNobodyMountsIsNamed(t *testing.T) {
	ref := &v1.FileKeySelector{VolumeName: "v", Path: "app.env", Key: "KEY"}
	if _, _, err := fileKey(nil, ref); err == nil || !strings.HasPrefix(err.Error(), `no container mounts the volume "v"`) {
		t.Errorf("error %v", err)
	}
	ref.Optional = ptr.To(true)
	if _, skip, err := fileKey(nil, ref); !skip || err != nil {
		t.Errorf("skipped: %t, error %v, though it is optional", skip, err)
	}
}
