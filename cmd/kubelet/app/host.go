package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"

	"k8s.io/component-base/metrics"

	"pilotis.dev/cmd/kubelet/config"
	"pilotis.dev/cmd/kubelet/node/machine"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/resources"
)

// prepareHost makes the kubelet's folders, checks the machine and takes the kubelet's own place on it.
func prepareHost(ctx context.Context, o *config.Options) error {
	c := &o.Config
	for _, dir := range []string{o.RootDirectory, filepath.Join(o.RootDirectory, "pods")} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("--root-dir: %w", err)
		}
	}
	for _, dir := range []string{c.PodLogsDir, observed.ContainerLogRoot} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if *c.FailCgroupV1 && !resources.Unified() {
		return fmt.Errorf("this machine has cgroup v1 and failCgroupV1 is true: set failCgroupV1: false in the kubelet's configuration, or boot with cgroup v2")
	}
	if used, total, err := machine.Host.SwapUsage(); err == nil && total > 0 && *c.FailSwapOn {
		return fmt.Errorf("this machine swaps (%d of %d bytes used) and failSwapOn is true: switch swap off, or set failSwapOn: false", used, total)
	}
	if drivers, err := os.ReadDir(c.VolumePluginDir); err == nil && len(drivers) > 0 {
		return fmt.Errorf("volumePluginDir %s holds %s: FlexVolume drivers are not supported, use CSI drivers and empty the folder", c.VolumePluginDir, drivers[0].Name())
	}
	if c.ShowHiddenMetricsForVersion != "" {
		metrics.SetShowHidden()
	}
	if c.EnableContentionProfiling {
		goruntime.SetBlockProfileRate(1)
		goruntime.SetMutexProfileFraction(1)
	}
	if err := resources.CheckKernel(ctx, c.ProtectKernelDefaults); err != nil {
		return err
	}
	return resources.Settle(ctx, int(*c.OOMScoreAdj), uint64(c.MaxOpenFiles), c.KubeletCgroups) // validated
}
