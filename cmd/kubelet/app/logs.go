package app

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/config"
)

// rotateLogs keeps each container's log below containerLogMaxSize, and containerLogMaxFiles files of it.
func (k *Kubelet) rotateLogs(o *config.Options) func(context.Context) {
	limit, files := resource.MustParse(o.Config.ContainerLogMaxSize), int(*o.Config.ContainerLogMaxFiles)
	return func(ctx context.Context) {
		ticker := time.NewTicker(o.Config.ContainerLogMonitorInterval.Duration)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			running, err := k.Runtime.Service.ListContainers(ctx, &runtimeapi.ContainerFilter{State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING}})
			if err != nil {
				continue
			}
			for _, c := range running {
				if err := k.rotate(ctx, c.Id, limit.Value(), files); err != nil {
					klog.FromContext(ctx).Info("A container's log cannot be rotated", "containerID", c.Id, "reason", err.Error())
				}
			}
		}
	}
}

func (k *Kubelet) rotate(ctx context.Context, id string, limit int64, files int) error {
	resp, err := k.Runtime.Service.ContainerStatus(ctx, id, false)
	if err != nil {
		return err
	}
	path := resp.GetStatus().GetLogPath()
	info, err := os.Stat(path)
	if err != nil || info.Size() < limit {
		return nil
	}
	old := oldLogs(path)
	// The newest old log is whole only now: the runtime has long left it.
	for _, f := range old {
		if !strings.HasSuffix(f, ".gz") {
			if err := compress(f); err != nil {
				return err
			}
		}
	}
	old = oldLogs(path)
	for len(old) > files-2 { // with the present log and the one that it becomes
		if err := os.Remove(old[0]); err != nil {
			return err
		}
		old = old[1:]
	}
	rotated := fmt.Sprintf("%s.%s", path, time.Now().Format("20060102-150405"))
	if err := os.Rename(path, rotated); err != nil {
		return err
	}
	if err := k.Runtime.Service.ReopenContainerLog(ctx, id); err != nil {
		return os.Rename(rotated, path) // it still writes there
	}
	return nil
}

// oldLogs are the rotated logs of path, oldest first.
func oldLogs(path string) []string {
	found, _ := filepath.Glob(path + ".*")
	sort.Strings(found)
	return found
}

func compress(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer out.Close()
	w := gzip.NewWriter(out)
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path+".gz"); err != nil {
		return err
	}
	return os.Remove(path)
}
