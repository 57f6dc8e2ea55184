package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Systemd reports whether systemd is the init system (sd_booted(3)).
func (*Local) Systemd() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// UnitState tells whether a systemd unit is enabled and active; without systemd there are no units.
func (l *Local) UnitState(ctx context.Context, unit string) (exists, enabled, active bool) {
	if !l.Systemd() {
		return false, false, false
	}
	out, _ := exec.CommandContext(ctx, "systemctl", "status", unit).CombinedOutput()
	exists = !bytes.Contains(out, []byte("could not be found")) && !bytes.Contains(out, []byte("Loaded: not-found"))
	enabled = exec.CommandContext(ctx, "systemctl", "is-enabled", "--quiet", unit).Run() == nil
	active = exec.CommandContext(ctx, "systemctl", "is-active", "--quiet", unit).Run() == nil
	return exists, enabled, active
}

// StartKubelet makes the kubelet run with the configuration just written. Under systemd its unit is restarted. Elsewhere a
// supervisor runs it, which starts it as soon as its configuration file exists; managed is false then.
func (l *Local) StartKubelet(ctx context.Context) (managed bool, err error) {
	if !l.Systemd() {
		return false, nil
	}
	if exists, _, _ := l.UnitState(ctx, "kubelet"); !exists {
		return false, nil
	}
	for _, args := range [][]string{{"daemon-reload"}, {"restart", "kubelet"}} {
		if err := systemctl(ctx, args...); err != nil {
			return true, err
		}
	}
	return true, nil
}

// RestartKubelet makes a running kubelet read its configuration again: through its unit, or by ending the process, which its
// supervisor starts anew.
func (l *Local) RestartKubelet(ctx context.Context) error {
	if managed, err := l.StartKubelet(ctx); managed || err != nil {
		return err
	}
	return l.endKubelets(ctx)
}

// StopKubelet ends the kubelet. The caller removes its configuration first, so that a supervisor does not start it again.
func (l *Local) StopKubelet(ctx context.Context) error {
	if exists, _, _ := l.UnitState(ctx, "kubelet"); exists {
		return systemctl(ctx, "stop", "kubelet")
	}
	return l.endKubelets(ctx)
}

func systemctl(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// endKubelets asks the kubelets of this node to stop and waits until they are gone.
func (l *Local) endKubelets(ctx context.Context) error {
	pids := l.kubelets()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("stopping kubelet process %d: %w", pid, err)
		}
	}
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("kubelet processes %v did not stop: %w", pids, err)
	}
	return nil
}

// kubelets finds the kubelet processes of this node. Processes of other mount namespaces belong to other nodes on the same
// machine and are left alone.
func (l *Local) kubelets() (pids []int) {
	own, err := os.Readlink(filepath.Join(l.proc, "self/ns/mnt"))
	if err != nil {
		return nil
	}
	folders, _ := filepath.Glob(filepath.Join(l.proc, "[0-9]*"))
	for _, folder := range folders {
		comm, _ := os.ReadFile(filepath.Join(folder, "comm"))
		space, err := os.Readlink(filepath.Join(folder, "ns/mnt"))
		if err != nil || space != own || string(bytes.TrimSpace(comm)) != "kubelet" {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
