package app

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/util/workqueue"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/config"
)

// rotateLogs keeps each container's log below containerLogMaxSize, and containerLogMaxFiles files of it; containerLogMaxWorkers are
// rotated at a time. A negative size means no rotation.
func (k *Kubelet) rotateLogs(o *config.Options) func(context.Context) {
	limit, files, workers := resource.MustParse(o.Config.ContainerLogMaxSize), int(*o.Config.ContainerLogMaxFiles), int(*o.Config.ContainerLogMaxWorkers)
	return func(ctx context.Context) {
		if limit.Sign() < 0 {
			return
		}
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
			workqueue.ParallelizeUntil(ctx, workers, len(running), func(i int) {
				if err := k.rotate(ctx, running[i].Id, limit.Value(), files); err != nil {
					klog.FromContext(ctx).Info("A container's log cannot be rotated", "containerID", running[i].Id, "reason", err.Error())
				}
			})
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

// oldLogs are the rotated logs of path, oldest first, without what an interrupted compression left.
func oldLogs(path string) []string {
	found, _ := filepath.Glob(path + ".*")
	found = slices.DeleteFunc(found, func(f string) bool { return strings.HasSuffix(f, ".tmp") })
	sort.Strings(found)
	return found
}

// compress makes path a .gz beside it, whole or not at all.
func compress(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	unfinished := path + ".tmp"
	out, err := os.OpenFile(unfinished, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(unfinished))
		}
	}()
	w := gzip.NewWriter(out)
	_, err = io.Copy(w, in)
	if err = errors.Join(err, w.Close(), out.Close()); err != nil {
		return err
	}
	if err = os.Rename(unfinished, path+".gz"); err != nil {
		return err
	}
	return os.Remove(path)
}
