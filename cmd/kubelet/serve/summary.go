package serve

import (
	"context"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"pilotis.dev/cmd/kubelet/node/machine"
	"pilotis.dev/cmd/kubelet/observed"
)

// summary answers /stats/summary: what the node and its pods use.
func (s *Server) summary(w http.ResponseWriter, req *http.Request) {
	onlyCPUAndMemory, _ := strconv.ParseBool(req.URL.Query().Get("only_cpu_and_memory"))
	now, err := s.take(req.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out := stats.Summary{Node: s.nodeStats(req.Context(), onlyCPUAndMemory), Pods: []stats.PodStats{}}
	seen := map[string]bool{nodeKey: true, stats.SystemContainerPods: true, stats.SystemContainerKubelet: true, stats.SystemContainerRuntime: true}
	for _, p := range now.pods {
		seen[p.uid] = true
		for _, c := range p.containers {
			seen[c.id] = true
		}
		out.Pods = append(out.Pods, s.podStats(p, onlyCPUAndMemory))
	}
	s.usage.keep(seen)
	writeJSON(w, out)
}

// nodeKey is the node's in the usage tracker, beside pods' UIDs, containers' IDs and the names of system containers.
const nodeKey = "node"

func (s *Server) podStats(p podSample, onlyCPUAndMemory bool) stats.PodStats {
	out := stats.PodStats{
		PodRef:     stats.PodReference{Name: p.name, Namespace: p.namespace, UID: p.uid},
		Containers: []stats.ContainerStats{},
		CPU:        s.cpu(p.uid, p.stats.Cpu), Memory: memory(p.stats.Memory), Swap: nil,
	}
	if p.pod != nil && p.pod.Status.StartTime != nil {
		out.StartTime = *p.pod.Status.StartTime
	}
	ephemeral := diskUse{}
	for _, c := range p.containers {
		cs := stats.ContainerStats{Name: c.name, StartTime: metav1.NewTime(c.started), CPU: s.cpu(c.id, c.stats.GetCpu()), Memory: memory(c.stats.GetMemory()), Swap: swap(c.stats.GetSwap())}
		if !onlyCPUAndMemory {
			cs.Rootfs = layer(c.stats.GetWritableLayer())
			logs := s.usage.disk(filepath.Join(observed.PodLogDir(p.namespace, p.name, podUID(p)), c.name))
			cs.Logs = logs.stats()
			ephemeral.add(logs)
			used, _ := value(c.stats.GetWritableLayer().GetUsedBytes())
			inodes, _ := value(c.stats.GetWritableLayer().GetInodesUsed())
			ephemeral.add(diskUse{bytes: used, inodes: inodes})
		}
		out.Containers = append(out.Containers, cs)
	}
	if onlyCPUAndMemory {
		return out
	}
	out.Network = network(p.stats.Network)
	if n, ok := value(p.stats.GetProcess().GetProcessCount()); ok {
		out.ProcessStats = &stats.ProcessStats{ProcessCount: &n}
	}
	var onDisk diskUse
	out.VolumeStats, onDisk = s.volumeStats(p)
	ephemeral.add(onDisk)
	// The pod's /etc/hosts is written by its containers too and must not be a way around the limit (CVE-2020-8557).
	ephemeral.add(s.usage.disk(filepath.Join(s.RootDir, "pods", p.uid, "etc-hosts")))
	out.EphemeralStorage = ephemeral.stats()
	return out
}

func stamp(ns int64) metav1.Time {
	if ns == 0 {
		return metav1.Now()
	}
	return metav1.NewTime(time.Unix(0, ns))
}

func (s *Server) cpu(id string, c *runtimeapi.CpuUsage) *stats.CPUStats {
	total, ok := value(c.GetUsageCoreNanoSeconds())
	if !ok {
		return nil
	}
	at := stamp(c.Timestamp)
	return &stats.CPUStats{Time: at, UsageCoreNanoSeconds: &total, UsageNanoCores: s.usage.rate(id, at.Time, total, pointer(c.GetUsageNanoCores()))}
}

func memory(m *runtimeapi.MemoryUsage) *stats.MemoryStats {
	if m == nil {
		return nil
	}
	return &stats.MemoryStats{Time: stamp(m.Timestamp), AvailableBytes: pointer(m.AvailableBytes), UsageBytes: pointer(m.UsageBytes), WorkingSetBytes: pointer(m.WorkingSetBytes), RSSBytes: pointer(m.RssBytes), PageFaults: pointer(m.PageFaults), MajorPageFaults: pointer(m.MajorPageFaults)}
}

func swap(u *runtimeapi.SwapUsage) *stats.SwapStats {
	if u == nil {
		return nil
	}
	return &stats.SwapStats{Time: stamp(u.Timestamp), SwapAvailableBytes: pointer(u.SwapAvailableBytes), SwapUsageBytes: pointer(u.SwapUsageBytes)}
}

func layer(l *runtimeapi.FilesystemUsage) *stats.FsStats {
	if l == nil {
		return nil
	}
	out := &stats.FsStats{Time: stamp(l.Timestamp), UsedBytes: pointer(l.UsedBytes), InodesUsed: pointer(l.InodesUsed)}
	if fs, err := machine.ReadFilesystem(l.GetFsId().GetMountpoint()); err == nil {
		out.AvailableBytes, out.CapacityBytes, out.Inodes, out.InodesFree = &fs.Available, &fs.Capacity, &fs.Inodes, &fs.InodesFree
	}
	return out
}

func network(n *runtimeapi.NetworkUsage) *stats.NetworkStats {
	if n == nil {
		return nil
	}
	one := func(i *runtimeapi.NetworkInterfaceUsage) stats.InterfaceStats {
		return stats.InterfaceStats{Name: i.GetName(), RxBytes: pointer(i.GetRxBytes()), RxErrors: pointer(i.GetRxErrors()), TxBytes: pointer(i.GetTxBytes()), TxErrors: pointer(i.GetTxErrors())}
	}
	out := &stats.NetworkStats{Time: stamp(n.Timestamp)}
	if n.DefaultInterface != nil {
		out.InterfaceStats = one(n.DefaultInterface)
		out.Interfaces = append(out.Interfaces, out.InterfaceStats)
	}
	for _, i := range n.Interfaces {
		if i.GetName() != out.Name {
			out.Interfaces = append(out.Interfaces, one(i))
		}
	}
	return out
}

// nodeStats reads the node's own use.
func (s *Server) nodeStats(ctx context.Context, onlyCPUAndMemory bool) stats.NodeStats {
	now := metav1.Now()
	out := stats.NodeStats{NodeName: s.NodeName, StartTime: metav1.NewTime(bootTime(string(s.Machine)))}
	use := s.nodeUse()
	out.CPU = &stats.CPUStats{Time: now, UsageCoreNanoSeconds: &use.cpu, UsageNanoCores: s.usage.rate(nodeKey, now.Time, use.cpu, nil)}
	out.Memory = &stats.MemoryStats{Time: now, UsageBytes: &use.memory, WorkingSetBytes: &use.workingSet, RSSBytes: &use.rss, PageFaults: &use.faults, MajorPageFaults: &use.major}
	if _, total, err := s.Machine.AvailableMemory(); err == nil {
		available := total - min(use.workingSet, total)
		out.Memory.AvailableBytes = &available
	}
	if used, total, err := s.Machine.SwapUsage(); err == nil {
		free := total - min(used, total)
		out.Swap = &stats.SwapStats{Time: now, SwapUsageBytes: &used, SwapAvailableBytes: &free}
	}
	for _, c := range []struct{ name, cgroup string }{{stats.SystemContainerPods, "kubepods"}, {stats.SystemContainerKubelet, s.KubeletCgroup}, {stats.SystemContainerRuntime, s.RuntimeCgroup}} {
		if c.cgroup != "" {
			out.SystemContainers = s.appendCgroup(out.SystemContainers, c.name, c.cgroup, out.StartTime, now)
		}
	}
	if onlyCPUAndMemory {
		return out
	}
	out.Network = hostNetwork(string(s.Machine), now)
	if fs, err := machine.ReadFilesystem(s.RootDir); err == nil {
		out.Fs = filesystem(fs, now)
	}
	out.Runtime = s.runtimeStats(ctx, now)
	if running, limit, err := s.Machine.PIDs(); err == nil {
		out.Rlimit = &stats.RlimitStats{Time: now, MaxPID: &limit, NumOfRunningProcesses: &running}
	}
	return out
}

// appendCgroup adds what the processes of a cgroup use; a cgroup that is not there adds nothing.
func (s *Server) appendCgroup(list []stats.ContainerStats, name, cgroup string, started, now metav1.Time) []stats.ContainerStats {
	use, ok := readCgroup(cgroupRoot(s.Machine), cgroup)
	if !ok {
		return list
	}
	return append(list, stats.ContainerStats{Name: name, StartTime: started,
		CPU:    &stats.CPUStats{Time: now, UsageCoreNanoSeconds: &use.cpu, UsageNanoCores: s.usage.rate(name, now.Time, use.cpu, nil)},
		Memory: &stats.MemoryStats{Time: now, UsageBytes: &use.memory, WorkingSetBytes: &use.workingSet, RSSBytes: &use.rss, PageFaults: &use.faults, MajorPageFaults: &use.major}})
}

func (s *Server) runtimeStats(ctx context.Context, now metav1.Time) *stats.RuntimeStats {
	if s.Images == nil {
		return nil
	}
	info, err := s.Images.ImageFsInfo(ctx)
	if err != nil {
		return nil
	}
	one := func(list []*runtimeapi.FilesystemUsage) *stats.FsStats {
		if len(list) == 0 {
			return nil
		}
		fs, err := machine.ReadFilesystem(list[0].GetFsId().GetMountpoint())
		if err != nil {
			return nil
		}
		out := filesystem(fs, now)
		out.UsedBytes, out.InodesUsed = pointer(list[0].UsedBytes), pointer(list[0].InodesUsed)
		return out
	}
	return &stats.RuntimeStats{ImageFs: one(info.GetImageFilesystems()), ContainerFs: one(info.GetContainerFilesystems())}
}

func filesystem(fs machine.Filesystem, now metav1.Time) *stats.FsStats {
	used := fs.Inodes - min(fs.InodesFree, fs.Inodes)
	return &stats.FsStats{Time: now, AvailableBytes: &fs.Available, CapacityBytes: &fs.Capacity, UsedBytes: &fs.Used, Inodes: &fs.Inodes, InodesFree: &fs.InodesFree, InodesUsed: &used}
}

// nodeUse is the whole node's processor time and memory.
func (s *Server) nodeUse() cgroupUse {
	use, _ := readCgroup(cgroupRoot(s.Machine), "")
	if use.cpu == 0 {
		use.cpu = processorTime(filepath.Join(string(s.Machine), "proc"))
	}
	if use.memory == 0 {
		if available, total, err := s.Machine.AvailableMemory(); err == nil {
			use.memory = total - available
			use.workingSet = use.memory
		}
	}
	return use
}

func cgroupRoot(m machine.Root) string { return filepath.Join(string(m), "sys/fs/cgroup") }

// volumeStats gives the use of the pod's volumes, and of those that lie on the node's own disk together.
func (s *Server) volumeStats(p podSample) (list []stats.VolumeStats, onDisk diskUse) {
	if p.pod == nil {
		return nil, diskUse{}
	}
	for i := range p.pod.Spec.Volumes {
		v := &p.pod.Spec.Volumes[i]
		out := stats.VolumeStats{Name: v.Name}
		if v.PersistentVolumeClaim != nil {
			out.PVCRef = &stats.PVCReference{Name: v.PersistentVolumeClaim.ClaimName, Namespace: p.namespace}
		}
		dir := s.volumeDir(p.uid, v)
		if dir == "" {
			continue
		}
		fs, err := machine.ReadFilesystem(dir)
		if err != nil {
			continue
		}
		out.FsStats = *filesystem(fs, metav1.Now())
		if v.EmptyDir != nil && v.EmptyDir.Medium == v1.StorageMediumDefault || v.ConfigMap != nil {
			use := s.usage.disk(dir)
			out.UsedBytes, out.InodesUsed = &use.bytes, &use.inodes
			onDisk.add(use)
		}
		list = append(list, out)
	}
	return list, onDisk
}

// volumeDir is where a volume of the pod is mounted; empty: it has no folder of its own.
func (s *Server) volumeDir(uid string, v *v1.Volume) string {
	if v.HostPath != nil || v.Image != nil {
		return ""
	}
	if s.VolumePath != nil {
		if path := s.VolumePath(types.UID(uid), v.Name); path != "" {
			return path
		}
	}
	found, _ := filepath.Glob(filepath.Join(s.RootDir, "pods", uid, "volumes", "*", v.Name))
	if len(found) == 0 {
		return ""
	}
	return found[0]
}
