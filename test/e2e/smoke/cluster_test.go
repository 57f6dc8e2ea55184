// Package smoke drives a running cluster with kubectl, as a user on the first day would.
package smoke

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilotis.dev/test/e2e/testimage"
)

// image is loaded into every node before the first test.
const image = testimage.Name

// programDir holds the programs of the image, for use from outside of pods.
var programDir string

// patience bounds every wait.
const patience = 90 * time.Second

func root() string { return os.Getenv("PILOTIS_ROOT") }

func TestMain(m *testing.M) {
	if root() == "" || os.Getenv("KUBECONFIG") == "" {
		fmt.Fprintln(os.Stderr, "PILOTIS_ROOT and KUBECONFIG are missing: run make test-e2e")
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "smoke-")
	if err == nil {
		err = testimage.Load(root(), clusterName(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "loading the test image:", err)
		os.Exit(1)
	}
	programDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func clusterName() string {
	if name := os.Getenv("CLUSTER"); name != "" {
		return name
	}
	return "pilotis"
}

// run runs a program of the repository with input and gives what it printed.
func run(ctx context.Context, input string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root(), name), args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), errOut.String())
	}
	return out.String(), nil
}

// space is a namespace of one test.
type space struct {
	t    *testing.T
	name string
}

// newSpace makes a namespace that goes with the test.
func newSpace(t *testing.T) space {
	t.Helper()
	s := space{t, strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))}
	s.must("create", "namespace", s.name)
	t.Cleanup(func() {
		if t.Failed() {
			for _, args := range [][]string{{"describe", "pods"}, {"get", "events", "--sort-by=.lastTimestamp"}, {"get", "all", "-o", "wide"}} {
				out, _ := s.try(args...)
				t.Log(out)
			}
		}
		_, _ = s.try("delete", "namespace", s.name, "--wait=false")
	})
	return s
}

// in is the namespace as a parallel subtest sees it.
func (s space) in(t *testing.T) space {
	t.Parallel()
	s.t = t
	return s
}

func (s space) try(args ...string) (string, error) { return s.tryWith("", args...) }

func (s space) tryWith(input string, args ...string) (string, error) {
	return run(context.Background(), input, "bin/kubectl", append([]string{"--namespace=" + s.name}, args...)...)
}

// must runs kubectl and gives its output; a failure ends the test.
func (s space) must(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (s space) apply(manifest string) {
	s.t.Helper()
	if _, err := s.tryWith(strings.ReplaceAll(manifest, "IMAGE", image), "apply", "-f", "-"); err != nil {
		s.t.Fatal(err)
	}
}

// until repeats check, which says what it saw, until it holds.
func (s space) until(what string, check func() (saw string, holds bool)) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		saw, holds := check()
		if holds {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %v for %s; last seen: %s", patience, what, saw)
		}
		time.Sleep(500 * time.Millisecond) // the poll's interval: a kubectl takes 0.15 s of a processor
	}
}

// eventually repeats a kubectl command until its output is want.
func (s space) eventually(want string, args ...string) {
	s.t.Helper()
	s.until(fmt.Sprintf("kubectl %s to print %q", strings.Join(args, " "), want), func() (string, bool) {
		out, err := s.try(args...)
		if err != nil {
			return err.Error(), false
		}
		return out, strings.TrimSpace(out) == want
	})
}
