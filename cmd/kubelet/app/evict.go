package app

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/eviction"
	"pilotis.dev/cmd/kubelet/node/machine"
	"pilotis.dev/cmd/kubelet/observed"
	"pilotis.dev/cmd/kubelet/status"
)

// watchPressure makes the part that ends pods when the node runs short.
func (d *daemon) watchPressure() (*eviction.Manager, error) {
	c := &d.options.Config
	thresholds, err := eviction.Thresholds(c)
	if err != nil {
		return nil, err
	}
	config := eviction.Config{
		Thresholds: thresholds, MaxGrace: time.Duration(c.EvictionMaxPodGracePeriod) * time.Second, Settle: c.EvictionPressureTransitionPeriod.Duration,
		Levels: d.levels, Candidates: d.candidates, Reclaim: d.reclaim, End: d.kubelet.Evict, Pods: d.kubelet.admittedPods,
	}
	if *c.LocalStorageCapacityIsolation {
		config.Exceeded = d.kubelet.exceedsStorage
	}
	return eviction.New(config), nil
}

// levels reads every signal of this machine.
func (d *daemon) levels() map[eviction.Signal]eviction.Level {
	levels := map[eviction.Signal]eviction.Level{}
	if available, total, err := machine.Host.AvailableMemory(); err == nil {
		levels[eviction.Memory] = eviction.Level{Available: available, Capacity: total}
	}
	if running, limit, err := machine.Host.PIDs(); err == nil {
		levels[eviction.PIDs] = eviction.Level{Available: uint64(max(limit-running, 0)), Capacity: uint64(limit)} // not negative
	}
	disk := func(path string, space, inodes eviction.Signal) {
		if f, err := machine.ReadFilesystem(path); err == nil {
			levels[space] = eviction.Level{Available: f.Available, Capacity: f.Capacity}
			if f.Inodes > 0 { // some filesystems make them as they are needed
				levels[inodes] = eviction.Level{Available: f.InodesFree, Capacity: f.Inodes}
			}
		}
	}
	disk(d.options.RootDirectory, eviction.NodeFS, eviction.NodeInodes)
	if path, err := d.imageFolder(); err == nil {
		disk(path, eviction.ImageFS, eviction.ImageInodes)
	}
	return levels
}

// candidates are the pods that hold something, with what they use.
func (d *daemon) candidates(ctx context.Context) ([]eviction.Candidate, error) {
	sandboxes, err := d.runtime.ListPodSandboxStats(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("the pods' use of memory: %w", err)
	}
	usage := map[types.UID]eviction.Usage{}
	for _, s := range sandboxes {
		uid := types.UID(s.GetAttributes().GetLabels()[observed.LabelPodUID])
		u := usage[uid]
		u.Memory += s.GetLinux().GetMemory().GetWorkingSetBytes().GetValue()
		u.PIDs += s.GetLinux().GetProcess().GetProcessCount().GetValue()
		for _, c := range s.GetLinux().GetContainers() {
			u.Disk += c.GetWritableLayer().GetUsedBytes().GetValue()
			u.Inodes += c.GetWritableLayer().GetInodesUsed().GetValue()
		}
		usage[uid] = u
	}
	var out []eviction.Candidate
	for _, p := range d.kubelet.admittedPods() {
		u := usage[p.UID]
		for _, dir := range d.kubelet.diskFolders(p) {
			bytes, inodes := measure(dir)
			u.Disk, u.Inodes = u.Disk+bytes, u.Inodes+inodes
		}
		out = append(out, eviction.Candidate{Pod: p, Usage: u})
	}
	return out, nil
}

// reclaim removes what nobody needs: unused images and ended containers.
func (d *daemon) reclaim(ctx context.Context) error {
	d.kubelet.collectContainers(ctx)
	_, err := d.kubelet.Images.Free(ctx, math.MaxInt64, 0, d.kubelet.imagesInUse)
	return err
}

// diskFolders are what of a pod counts as its ephemeral storage: memory-backed volumes do not.
func (k *Kubelet) diskFolders(p *v1.Pod) []string {
	folders := []string{k.Logs.Pod(p.Namespace, p.Name, p.UID), filepath.Join(k.RootDir, "pods", string(p.UID), "etc-hosts")}
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.EmptyDir != nil && v.EmptyDir.Medium == v1.StorageMediumDefault {
			folders = append(folders, k.emptyDir(p, v.Name))
		}
	}
	return folders
}

func (k *Kubelet) emptyDir(p *v1.Pod, volume string) string {
	return filepath.Join(k.RootDir, "pods", string(p.UID), "volumes", "kubernetes.io~empty-dir", volume)
}

// measure adds up the disk blocks and inodes below a path.
func measure(path string) (bytes, inodes uint64) {
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went while it was looked at
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			const block = 512
			bytes += uint64(st.Blocks) * block // not negative
			inodes++
		}
		return nil
	})
	return bytes, inodes
}

// exceedsStorage tells which limit of local storage a pod breaks; empty: none. Pods without such limits cost nothing.
func (k *Kubelet) exceedsStorage(ctx context.Context, p *v1.Pod) string {
	var logs, layers, empty uint64
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.EmptyDir == nil || v.EmptyDir.Medium != v1.StorageMediumDefault || v.EmptyDir.SizeLimit == nil || v.EmptyDir.SizeLimit.IsZero() {
			continue
		}
		if used, _ := measure(k.emptyDir(p, v.Name)); used > uint64(v.EmptyDir.SizeLimit.Value()) { // validated
			return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, v.EmptyDir.SizeLimit.String())
		}
	}
	if !slices.ContainsFunc(p.Spec.Containers, func(c v1.Container) bool { return !c.Resources.Limits.StorageEphemeral().IsZero() }) {
		return ""
	}
	stats, err := k.Runtime.Service.ListContainerStats(ctx, &runtimeapi.ContainerStatsFilter{LabelSelector: map[string]string{observed.LabelPodUID: string(p.UID)}})
	if err != nil {
		return ""
	}
	layer := map[string]uint64{}
	for _, s := range stats {
		layer[s.GetAttributes().GetLabels()[observed.LabelContainerName]] += s.GetWritableLayer().GetUsedBytes().GetValue()
	}
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		log, _ := measure(filepath.Join(k.Logs.Pod(p.Namespace, p.Name, p.UID), c.Name))
		logs, layers = logs+log, layers+layer[c.Name]
		limit := c.Resources.Limits.StorageEphemeral()
		if !limit.IsZero() && log+layer[c.Name] > uint64(limit.Value()) { // validated
			return fmt.Sprintf("Container %s exceeded its local ephemeral storage limit %q. ", c.Name, limit.String())
		}
	}
	limits := resource.PodLimits(p, resource.PodResourcesOptions{})
	for _, dir := range k.diskFolders(p)[1:] {
		used, _ := measure(dir)
		empty += used
	}
	limit := limits.StorageEphemeral()
	if slices.ContainsFunc(p.Spec.Containers, func(c v1.Container) bool { return c.Resources.Limits.StorageEphemeral().IsZero() }) || logs+layers+empty <= uint64(limit.Value()) { // validated
		return ""
	}
	return fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", limit.String())
}

// Evict ends a pod by the node's own decision. The message says why. A pod that is evicted again may only get less grace.
func (k *Kubelet) Evict(uid types.UID, message string, grace time.Duration) {
	pod := k.Desired.Get(uid)
	k.mu.Lock()
	w := k.workers[uid]
	if w == nil || pod == nil || w.cleared || (w.evicted != nil && w.evictionGrace <= grace) {
		k.mu.Unlock()
		return
	}
	first := w.evicted == nil
	if first {
		w.evicted = &status.Rejection{Reason: "Evicted", Message: message, Disruption: v1.PodReasonTerminationByKubelet}
	}
	w.evictionGrace = grace
	k.mu.Unlock()
	if first {
		k.Recorder.Event(pod, v1.EventTypeWarning, "Evicted", strings.TrimSpace(message))
	}
	w.interrupt(grace)
}

// imageFolder is where the runtime keeps images.
func (d *daemon) imageFolder() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	info, err := d.images.ImageFsInfo(ctx)
	if err != nil {
		return "", err
	}
	if len(info.ImageFilesystems) == 0 || info.ImageFilesystems[0].FsId == nil {
		return "", fmt.Errorf("the container runtime does not say where images are")
	}
	path := info.ImageFilesystems[0].FsId.Mountpoint
	_, err = os.Stat(path)
	return path, err
}
