package volumes

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func files(pairs ...string) content {
	c := content{}
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = file{data: []byte(pairs[i+1]), mode: 0o644}
	}
	return c
}

// shown reads a volume as a container does, without the names that begin with two dots.
func shown(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	var walk func(rel string)
	walk = func(rel string) {
		entries, err := os.ReadDir(filepath.Join(dir, rel))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if rel == "" && strings.HasPrefix(e.Name(), "..") {
				continue
			}
			path := filepath.Join(rel, e.Name())
			info, err := os.Stat(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			if info.IsDir() {
				walk(path)
				continue
			}
			data, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			found[path] = string(data)
		}
	}
	walk("")
	return found
}

func versions(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), "..") {
			out = append(out, e.Name())
		}
	}
	return out
}

func TestAtomicWriterShowsExactlyTheFilesAsked(t *testing.T) {
	dir := t.TempDir()
	for i, step := range []struct {
		give    content
		changed bool
	}{
		{files("a", "1", "b", "2"), true},
		{files("a", "1", "b", "2"), false},
		{files("a", "1!", "b", "2"), true},
		{files("b", "2"), true},
		{files("deep/er/c", "3", "deep/d", "4", "b", "2"), true},
		{files("deep", "a file now"), true},
		{content{"m": {data: []byte("x"), mode: 0o400}}, true},
		{content{"m": {data: []byte("x"), mode: 0o444}}, true},
		{content{}, true},
		{content{}, false},
	} {
		changed, err := write(dir, step.give, nil)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if changed != step.changed {
			t.Errorf("step %d: changed = %v", i, changed)
		}
		want := map[string]string{}
		for p, f := range step.give {
			want[filepath.Clean(p)] = string(f.data)
			if info, err := os.Stat(filepath.Join(dir, p)); err != nil || info.Mode().Perm() != f.mode {
				t.Errorf("step %d: %s has mode %v, want %v (%v)", i, p, info.Mode(), f.mode, err)
			}
		}
		if got := shown(t, dir); !maps.Equal(got, want) {
			t.Errorf("step %d: shows %v, want %v", i, got, want)
		}
		if v := versions(t, dir); len(v) != 1 {
			t.Errorf("step %d: versions %v", i, v)
		}
	}
}

func TestAtomicWriterNeverShowsAMixture(t *testing.T) {
	dir := t.TempDir()
	if _, err := write(dir, files("a", "old", "b", "old"), nil); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(dir, dataLink)) // what a reader sees that opened the version first
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	_, err = write(dir, files("a", "new", "b", "new"), func(version string) error {
		if got := shown(t, dir); got["a"] != "old" || got["b"] != "old" {
			t.Errorf("the new version is seen before it is ready: %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(t, dir); got["a"] != "new" || got["b"] != "new" {
		t.Errorf("after the swap: %v", got)
	}
}

func TestAtomicWriterStaysInItsFolder(t *testing.T) {
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := os.WriteFile(precious, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(dir string) error{
		"..data to the outside":          func(dir string) error { return os.Symlink(outside, filepath.Join(dir, dataLink)) },
		"..data up":                      func(dir string) error { return os.Symlink("../..", filepath.Join(dir, dataLink)) },
		"..data_tmp to the outside":      func(dir string) error { return os.Symlink(outside, filepath.Join(dir, dataLinkNew)) },
		"a file's name to the outside":   func(dir string) error { return os.Symlink(precious, filepath.Join(dir, "a")) },
		"a folder's name to the outside": func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "sub")) },
		"a stale name to the outside":    func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "stale")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := plant(dir); err != nil {
				t.Fatal(err)
			}
			for _, c := range []content{files("a", "1", "sub/precious", "2"), files("b", "3")} {
				_, err := write(dir, c, nil)
				if err != nil && !strings.Contains(err.Error(), "escapes") && !os.IsNotExist(err) {
					t.Log(err)
				}
			}
			if data, err := os.ReadFile(precious); err != nil || string(data) != "keep me" {
				t.Errorf("a file outside was touched: %q, %v", data, err)
			}
			if entries, _ := os.ReadDir(outside); len(entries) != 1 {
				t.Errorf("files came to the outside: %v", entries)
			}
			if info, _ := os.Stat(precious); info.Mode().Perm() != 0o600 {
				t.Errorf("permissions outside changed to %v", info.Mode())
			}
		})
	}
}

func TestAtomicWriterRefusesPaths(t *testing.T) {
	for _, path := range []string{"", "/abs", "..", "../up", "a/../../b", "a/..", "..data", "..hidden/x", "a\x00b", strings.Repeat("x", 256), strings.Repeat("x/", 2100) + "x"} {
		if _, err := write(t.TempDir(), files(path, "x"), nil); err == nil {
			t.Errorf("%.20q is accepted", path)
		}
	}
	for _, path := range []string{"a", ".hidden", "a/..b", "...", "a..b"} {
		err := checkPath(path)
		if path == "..." {
			if err == nil {
				t.Error("a name that begins with two dots is accepted")
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func FuzzAtomicWriter(f *testing.F) {
	f.Add("a", "b/c", "x")
	f.Add("../x", "..data", "y")
	f.Add("a/b/../c", "./d", "z")
	f.Fuzz(func(t *testing.T, one, two, data string) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "volume")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := write(dir, files(one, data, two, data), nil)
		entries, _ := os.ReadDir(outer)
		if names := slices.Collect(func(yield func(string) bool) {
			for _, e := range entries {
				if !yield(e.Name()) {
					return
				}
			}
		}); len(names) != 1 {
			t.Fatalf("%q, %q left %v beside the volume", one, two, names)
		}
		if err != nil {
			return
		}
		for _, p := range []string{one, two} {
			if got, err := os.ReadFile(filepath.Join(dir, p)); err != nil || string(got) != data {
				t.Fatalf("%q reads %q, %v", p, got, err)
			}
		}
		_ = fs.ErrNotExist
	})
}
