package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
	system "k8s.io/system-validators/validators"
)

// Local is this machine, seen from the process's own namespaces.
type Local struct {
	proc string // where procfs is mounted
}

// New returns this machine.
func New() *Local { return &Local{proc: "/proc"} }

// Root reports whether the process may change the machine.
func (*Local) Root() bool { return os.Geteuid() == 0 }

// Hostname returns the machine's name in lower case, as node names are written.
func (*Local) Hostname() (string, error) {
	name, err := os.Hostname()
	name = strings.ToLower(strings.TrimSpace(name))
	if err == nil && name == "" {
		err = fmt.Errorf("this machine has no host name")
	}
	return name, err
}

// CPUs is how many processors the process may use.
func (*Local) CPUs() int { return runtime.NumCPU() }

// MemoryBytes is the machine's physical memory.
func (*Local) MemoryBytes() (uint64, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, err
	}
	return info.Totalram * uint64(info.Unit), nil
}

// ReadFile, Exists and LookPath look at the file system; Exists also tells a non-empty folder from an empty one.
func (*Local) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

// Exists reports whether path is there.
func (*Local) Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// FolderEmpty reports whether path is missing or a folder without entries.
func (*Local) FolderEmpty(path string) bool {
	entries, err := os.ReadDir(path)
	return err != nil && os.IsNotExist(err) || err == nil && len(entries) == 0
}

// LookPath reports whether an executable is on the PATH.
func (*Local) LookPath(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// Env returns an environment variable.
func (*Local) Env(name string) string { return os.Getenv(name) }

// KubeletVersion asks the installed kubelet for its version.
func (*Local) KubeletVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "kubelet", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("running kubelet --version: %w", err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "Kubernetes "), nil
}

// ValidateSystem checks kernel release, kernel configuration and cgroups. kubeletVersion decides whether cgroup v1 is an error;
// the empty version makes it a warning.
func (*Local) ValidateSystem(kubeletVersion string) (warnings, faults []error) {
	quiet := discard{}
	for _, v := range []system.Validator{
		&system.OSValidator{Reporter: quiet},
		&system.KernelValidator{Reporter: quiet},
		&system.CgroupsValidator{Reporter: quiet, KubeletVersion: strings.TrimPrefix(kubeletVersion, "v")},
	} {
		w, f := v.Validate(system.DefaultSysSpec)
		warnings, faults = append(warnings, w...), append(faults, f...)
	}
	return warnings, faults
}

// discard drops the validators' progress report; their warnings and errors say the same.
type discard struct{}

func (discard) Report(string, string, system.ValidationResultType) error { return nil }
