package binaries

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes files below a new root.
func tree(t *testing.T, files map[string]string) Builder {
	t.Helper()
	b := Builder{Root: t.TempDir(), Log: io.Discard}
	for path, content := range files {
		put(t, b, path, content)
	}
	return b
}

func put(t *testing.T, b Builder, path, content string) {
	t.Helper()
	path = filepath.Join(b.Root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAProgramIsBuiltAnewWhenWhatItIsMadeOfChanges(t *testing.T) {
	files := map[string]string{
		"cmd/one/go.mod":        "module example.org/one\n\nreplace example.org/lib => ../../lib\n",
		"cmd/one/main.go":       "package main\n",
		"cmd/one/main_test.go":  "package main\n",
		"cmd/one/nested/go.mod": "module example.org/nested\n",
		"cmd/one/nested/a.go":   "package nested\n",
		"lib/go.mod":            "module example.org/lib\n",
		"lib/lib.go":            "package lib\n",
		"other/go.mod":          "module example.org/other\n",
	}
	one := Binary{Name: "one", Module: "cmd/one", Package: "."}
	for _, tt := range []struct {
		path    string
		changes bool
	}{
		{"cmd/one/main.go", true}, {"cmd/one/new.go", true}, {"cmd/one/go.mod", true}, {"cmd/one/data/text.json", true}, {"lib/lib.go", true},
		{"cmd/one/main_test.go", false}, {"cmd/one/README.md", false}, {"cmd/one/nested/a.go", false}, {"other/go.mod", false},
	} {
		t.Run(tt.path, func(t *testing.T) {
			b := tree(t, files)
			before, err := b.fingerprint(one)
			if err != nil {
				t.Fatal(err)
			}
			put(t, b, tt.path, files[tt.path]+"\n// more\n")
			after, err := b.fingerprint(one)
			if err != nil {
				t.Fatal(err)
			}
			if (before != after) != tt.changes {
				t.Errorf("built anew: %v, want %v", before != after, tt.changes)
			}
		})
	}
	b := tree(t, files)
	before, err := b.fingerprint(one)
	if err != nil {
		t.Fatal(err)
	}
	one.Tags = "other"
	if after, err := b.fingerprint(one); err != nil || after == before {
		t.Errorf("other build tags do not count (%v)", err)
	}
}

func TestOnlyChangedProgramsAreBuilt(t *testing.T) {
	b := tree(t, map[string]string{"cmd/one/go.mod": "module example.org/one\n\ngo 1.26\n", "cmd/one/main.go": "package main\n\nfunc main() {}\n"})
	var log strings.Builder
	b.Log = &log
	one := Binary{Name: "one", Module: "cmd/one", Package: "."}
	built := func() bool {
		t.Helper()
		log.Reset()
		if err := b.build(context.Background(), one); err != nil {
			t.Fatal(err)
		}
		return log.Len() > 0
	}
	if !built() || built() {
		t.Error("a program is not built at first, or built again without a change")
	}
	if err := os.Remove(b.Path("one")); err != nil {
		t.Fatal(err)
	}
	if !built() {
		t.Error("a program that was removed is not built again")
	}
	put(t, b, "cmd/one/main.go", "package main\n\nfunc main() { undefined() }\n")
	if err := b.build(context.Background(), one); err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("a fault of the program is not told: %v", err)
	}
	put(t, b, "cmd/one/main.go", "package main\n\nfunc main() {}\n")
	if built() {
		t.Error("what was built before the fault is built again") // its fingerprint is the old one's
	}
}

func TestUnknownProgramsAreTold(t *testing.T) {
	if _, err := choose([]string{"kubelet", "kubelt"}); err == nil || !strings.Contains(err.Error(), `unknown program "kubelt"`) {
		t.Errorf("got %v", err)
	}
	if got, err := choose([]string{"helm"}); err != nil || len(got) != 1 { // a tool is built when it is named
		t.Errorf("got %v, %v", got, err)
	}
}

func TestThirdPartyProgramsReportTheirPinnedVersion(t *testing.T) {
	part := Binary{Name: "part", Module: "part", Package: "example.org/part", VersionVar: "example.org/part/v.V", VersionOf: "example.org/part"}
	for _, mod := range []string{"require example.org/part v1.2.3\n", "require (\n\texample.org/part/v2 v2.0.0\n\texample.org/part v1.2.3 // indirect\n)\n"} {
		args, err := tree(t, map[string]string{"part/go.mod": mod}).arguments(part)
		if err != nil || !strings.Contains(strings.Join(args, " "), " -X example.org/part/v.V=1.2.3") {
			t.Errorf("arguments %q, error %v: want the version 1.2.3", args, err)
		}
	}
	if _, err := tree(t, map[string]string{"part/go.mod": "module m\n"}).arguments(part); err == nil || !strings.Contains(err.Error(), "requires no example.org/part") {
		t.Errorf("a part that is not pinned: %v", err)
	}
}
