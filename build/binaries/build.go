package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Builder builds programs of the repository at Root into Root/bin. A program whose sources did not change
// since its last build is left alone.
type Builder struct {
	Root string
	Log  io.Writer // one line a program that is built
}

// Build builds the programs and tools named, or all programs when names is empty.
func (b Builder) Build(ctx context.Context, names ...string) error {
	wanted, err := choose(names)
	if err != nil {
		return err
	}
	for _, bin := range wanted {
		if err := b.build(ctx, bin); err != nil {
			return err
		}
	}
	return nil
}

// choose gives the programs and tools named, or all programs.
func choose(names []string) ([]Binary, error) {
	if len(names) == 0 {
		return All, nil
	}
	var chosen []Binary
	for _, name := range names {
		known := slices.Concat(All, Tools)
		i := slices.IndexFunc(known, func(bin Binary) bool { return bin.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown program %q: build/binaries/table.go lists them", name)
		}
		chosen = append(chosen, known[i])
	}
	return chosen, nil
}

// Path is where the program name lies once built.
func (b Builder) Path(name string) string { return filepath.Join(b.Root, "bin", name) }

func (b Builder) build(ctx context.Context, bin Binary) error {
	stamp := filepath.Join(b.Root, "bin", ".stamps", strings.ReplaceAll(bin.Name, "/", "-"))
	want, err := b.fingerprint(bin)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		if _, err := os.Stat(b.Path(bin.Name)); err == nil {
			return nil
		}
	}
	start := time.Now()
	args, err := b.arguments(bin)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(b.Root, bin.Module)
	cmd.Env = environment(bin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", bin.Name, bin.Module, err, out)
	}
	fmt.Fprintf(b.Log, "  %-26s %5.1fs\n", bin.Name, time.Since(start).Seconds())
	if err := os.MkdirAll(filepath.Dir(stamp), 0o755); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

func (b Builder) arguments(bin Binary) ([]string, error) {
	link := "-s -w -buildid="
	if strings.HasPrefix(bin.Module, "cmd/") {
		const v = " -X k8s.io/component-base/version."
		link += v + "gitVersion=" + Version + v + "gitMajor=1" + v + "gitMinor=37" + v + "gitTreeState=clean"
		// The client library reports the same version in its user agent.
		link += " -X k8s.io/client-go/pkg/version.gitVersion=" + Version
	}
	if bin.VersionVar != "" {
		version, err := b.pinned(bin)
		if err != nil {
			return nil, err
		}
		link += " -X " + bin.VersionVar + "=" + version
	}
	if bin.Cgo {
		link += " -extldflags -static"
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", link, "-o", b.Path(bin.Name)}
	if bin.Tags != "" {
		args = append(args, "-tags", bin.Tags)
	}
	return append(args, bin.Package), nil
}

// pinned is the version of the program's main dependency in its module's go.mod, without the leading v.
func (b Builder) pinned(bin Binary) (string, error) {
	path := filepath.Join(b.Root, bin.Module, "go.mod")
	mod, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("program %s: %w", bin.Name, err)
	}
	for line := range strings.Lines(string(mod)) {
		words := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(words) >= 2 && words[0] == bin.VersionOf {
			return strings.TrimPrefix(words[1], "v"), nil
		}
	}
	return "", fmt.Errorf("program %s: %s requires no %s", bin.Name, path, bin.VersionOf)
}

// environment pins what would change the output or leave the build cache cold.
func environment(bin Binary) []string {
	cgo := "CGO_ENABLED=0"
	if bin.Cgo {
		cgo = "CGO_ENABLED=1"
	}
	return append(os.Environ(), "GOWORK=off", "GOFLAGS=-trimpath -buildvcs=false", "GOTOOLCHAIN=local", cgo)
}

// fingerprint hashes what a program is built from: its module's files, those of the modules that its go.mod
// replaces by folders of this repository, its build arguments and the toolchain, which also built this program.
func (b Builder) fingerprint(bin Binary) (string, error) {
	args, err := b.arguments(bin)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), strings.Join(args, " "))
	dirs := []string{bin.Module}
	mod, err := os.ReadFile(filepath.Join(b.Root, bin.Module, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("program %s: %w", bin.Name, err)
	}
	for line := range strings.Lines(string(mod)) {
		if _, dir, ok := strings.Cut(line, "=> ../"); ok {
			dirs = append(dirs, filepath.Join(bin.Module, "..", strings.TrimSpace(dir)))
		}
	}
	for _, dir := range dirs {
		if err := hashTree(h, filepath.Join(b.Root, dir)); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashTree adds the files below dir that a build reads; modules nested in it are their own.
func hashTree(h io.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != dir {
				if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".md") || !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintln(h, rel)
		_, err = io.Copy(h, f)
		return err
	})
}
