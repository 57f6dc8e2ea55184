// Package preflight looks at a machine before anything is changed on it. Every check runs, whatever the others found, and all
// findings are reported at once; a finding of an ignored check is a warning.
package preflight

import (
	"context"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
)

// Check is one question about the machine. Its name is what --ignore-preflight-errors takes.
type Check struct {
	Name string
	Run  func(ctx context.Context) (warnings, faults []error)
}

// Facts is what checks want to know of a machine.
type Facts interface {
	Root() bool
	CPUs() int
	MemoryBytes() (uint64, error)
	Hostname() (string, error)
	ReadFile(path string) ([]byte, error)
	Exists(path string) bool
	FolderEmpty(path string) bool
	LookPath(name string) bool
	Env(name string) string
	Systemd() bool
	UnitState(ctx context.Context, unit string) (exists, enabled, active bool)
	PortHolder(port int) (holder string, occupied bool)
	KubeletVersion(ctx context.Context) (string, error)
	ValidateSystem(kubeletVersion string) (warnings, faults []error)
}

// Runtime is what checks want of a container runtime.
type Runtime interface {
	Check(ctx context.Context) error
	HasImage(ctx context.Context, image string) (bool, error)
	PullImage(ctx context.Context, image string) error
}

// Error holds the findings that end a command.
type Error struct{ lines []string }

func (e *Error) Error() string {
	return "[preflight] Some fatal errors occurred:\n" + strings.Join(e.lines, "\n") +
		"\n[preflight] Nothing was changed. If you know what you are doing, make a check non-fatal with `--ignore-preflight-errors=...`"
}

// Run carries out checks in order. Warnings go to out as they are found; the returned error is an *Error.
func Run(ctx context.Context, checks []Check, ignore []string, out io.Writer) error {
	ignored := sets.New[string]()
	for _, name := range ignore {
		ignored.Insert(strings.ToLower(name))
	}
	var fatal []string
	seen := sets.New[string]()
	for _, check := range checks {
		if seen.Has(check.Name) {
			continue
		}
		seen.Insert(check.Name)
		warnings, faults := check.Run(ctx)
		if ignored.Has("all") || ignored.Has(strings.ToLower(check.Name)) {
			warnings, faults = append(warnings, faults...), nil
		}
		for _, warning := range warnings {
			fmt.Fprintf(out, "\t[WARNING %s]: %v\n", check.Name, warning)
		}
		for _, fault := range faults {
			fatal = append(fatal, fmt.Sprintf("\t[ERROR %s]: %v", check.Name, fault))
		}
	}
	if len(fatal) > 0 {
		return &Error{lines: fatal}
	}
	return nil
}
