// Package badinput gives the built programs what is wrong (flags, files, certificates, surroundings) and reads what they say.
// Each program runs in a network namespace of its own, so that none reaches another or the machine.
package badinput

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds how long a program may take to say what is wrong.
const patience = 30 * time.Second

func root() string {
	if r := os.Getenv("PILOTIS_ROOT"); r != "" {
		return r
	}
	r, _ := filepath.Abs("../../..") // go test runs in the package's folder
	return r
}

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests make network namespaces: run them as root")
		os.Exit(1)
	}
	if _, err := os.Stat(filepath.Join(root(), "bin/kube-apiserver")); err != nil {
		fmt.Fprintln(os.Stderr, "the programs are missing, run make build:", err)
		os.Exit(1)
	}
	code, err := withIdentity(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// withIdentity runs the tests with a folder for what programs write, and a key for service accounts in it.
func withIdentity(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "badinput-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 1, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return 1, err
	}
	runDir, identity = dir, filepath.Join(dir, "service-accounts.key")
	if err := os.WriteFile(identity, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// namespaces of a command's own: its mounts and links are not the machine's, and what it started ends with it.
func namespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
}

// isolated is a command in namespaces of its own, with empty /run and /var/log; before is a shell script that
// runs there first. The mount of util-linux would leave /run/mount behind on the machine.
func isolated(ctx context.Context, before, program string, args ...string) *exec.Cmd {
	script := "busybox mount -t tmpfs none /run; busybox mount -t tmpfs none /var/log; ip link set lo up; " + before + "\nexec \"$@\""
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh", filepath.Join(root(), "bin", program)}, args...)...)
	cmd.SysProcAttr = namespaces()
	return cmd
}

// outcome runs a program to its end.
func outcome(t *testing.T, program string, args ...string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := isolated(ctx, "", program, args...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	err := cmd.Run()
	exit := (*exec.ExitError)(nil)
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s %v goes on after %v, having said:\n%s", program, args, patience, errOut.String())
	case err != nil && !errors.As(err, &exit):
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(errOut.String())
}

// notice is what daemons log of themselves while nothing is wrong yet.
var notice = regexp.MustCompile(`(?m)^[IW]\d{4} .*\n`)

// refuses wants exit code 1 and the reason, with each of want, in the one line that the program says.
func refuses(t *testing.T, want []string, program string, args ...string) {
	t.Helper()
	code, said := outcome(t, program, args...)
	if code != 1 {
		t.Errorf("%s %v: exit code %d, want 1", program, args, code)
	}
	said = notice.ReplaceAllString(said, "")
	reason := said[strings.LastIndex(said, "\n")+1:]
	if reason != said {
		t.Errorf("%s %v: more than a line:\n%s", program, args, said)
	}
	for _, w := range append(want, program+": ") {
		if !strings.Contains(reason, w) {
			t.Errorf("%s %v: %q is missing in: %s", program, args, w, reason)
		}
	}
}

// says runs a program until it has said a line with each of want. before is a shell script that runs first.
func says(t *testing.T, want []string, before, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := isolated(ctx, before, program, args...)
	errOut, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(errOut); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(lines.Text(), w) }) {
			cancel()
			_ = cmd.Wait() // it ends by our signal, or because of what it said
			return
		}
	}
	_ = cmd.Wait()
	t.Errorf("%s %v: no line with all of %q in\n%s", program, args, want, said.String())
}

// file writes a file of the test and gives its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
