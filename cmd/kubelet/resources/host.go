package resources

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"k8s.io/klog/v2"
)

// Settle takes the kubelet's own place on the machine: its OOM score, its open files and its cgroup (empty: where it
// is). What the machine forbids is logged once.
func Settle(ctx context.Context, oomScoreAdj int, openFiles uint64, cgroup string) error {
	logger := klog.FromContext(ctx)
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(oomScoreAdj)), 0o644); err != nil {
		logger.Info("The kubelet's OOM score cannot be set: it may be ended when memory runs out", "oomScoreAdj", oomScoreAdj, "reason", err.Error())
	}
	limit := syscall.Rlimit{Cur: openFiles, Max: openFiles}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		var now syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now) == nil {
			now.Cur = now.Max
			_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now)
		}
		logger.V(2).Info("The kubelet opens as many files as it may", "maxOpenFiles", openFiles, "limit", now.Max)
	}
	if cgroup == "" {
		return nil
	}
	m, err := manager.New(&cgroups.Cgroup{Path: cgroup, Resources: &cgroups.Resources{SkipDevices: true, SkipFreezeOnSet: true}})
	if err == nil {
		err = m.Apply(os.Getpid())
	}
	if err != nil {
		return fmt.Errorf("kubeletCgroups %s: %w", cgroup, err)
	}
	return nil
}

// kernelParameter is a machine-wide setting that nodes expect.
type kernelParameter struct{ path, want, why string }

func kernelParameters() []kernelParameter {
	return []kernelParameter{
		{"/proc/sys/vm/overcommit_memory", "1", "containers' memory is limited by cgroups"},
		{"/proc/sys/vm/panic_on_oom", "0", "a full container must not stop the machine"},
		{"/proc/sys/kernel/panic", "10", "a machine that stopped comes back"},
		{"/proc/sys/kernel/panic_on_oops", "1", "a broken kernel must not go on"},
	}
}

// CheckKernel compares the machine's kernel parameters with what nodes expect: an error that names each with protect,
// else a line in the log. It changes none: they are the whole machine's.
func CheckKernel(ctx context.Context, protect bool) error {
	var errs []error
	for _, p := range kernelParameters() {
		data, err := os.ReadFile(p.path)
		if err != nil {
			continue // this kernel has no such parameter
		}
		have := strings.TrimSpace(string(data))
		if have == p.want {
			continue
		}
		name := strings.ReplaceAll(strings.TrimPrefix(p.path, "/proc/sys/"), "/", ".")
		if protect {
			errs = append(errs, fmt.Errorf("protectKernelDefaults: kernel parameter %s is %s: set it to %s (%s)", name, have, p.want, p.why))
			continue
		}
		klog.FromContext(ctx).V(1).Info("A kernel parameter is not as nodes expect", "parameter", name, "is", have, "expected", p.want, "why", p.why)
	}
	return errors.Join(errs...)
}
