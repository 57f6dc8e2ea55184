package resources

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
)

// Cgroups keeps the hierarchy kubepods/{burstable,besteffort}/pod<UID> below Root.
type Cgroups struct {
	Root      string // "/" or the configured cgroupRoot
	Systemd   bool   // names as systemd slices
	Enabled   bool   // cgroupsPerQOS
	PidsLimit int64  // of each pod; -1: none
	CPUQuota  bool
	CPUPeriod int64 // microseconds
}

// Unified reports whether the machine has cgroup v2 alone.
func Unified() bool { return cgroups.IsCgroup2UnifiedMode() }

// parts are the names from the root down to the pod.
func (c Cgroups) parts(pod *v1.Pod) []string {
	parts := []string{"kubepods"}
	switch QOSClass(pod) {
	case v1.PodQOSBurstable:
		parts = append(parts, "burstable")
	case v1.PodQOSBestEffort:
		parts = append(parts, "besteffort")
	}
	return append(parts, "pod"+string(pod.UID))
}

// Parent is what the runtime puts the pod's containers below.
func (c Cgroups) Parent(pod *v1.Pod) string {
	if !c.Enabled {
		return ""
	}
	return c.name(c.parts(pod))
}

func (c Cgroups) name(parts []string) string {
	if !c.Systemd {
		return path.Join(append([]string{"/", c.Root}, parts...)...)
	}
	var joined []string
	for _, p := range parts {
		joined = append(joined, strings.ReplaceAll(p, "-", "_"))
	}
	return strings.Join(joined, "-") + ".slice"
}

// Setup makes the node's own levels: kubepods and the two QoS classes. pods is what all pods together may use (the
// machine less what is reserved); nil: as much as there is (enforceNodeAllocatable without "pods").
func (c Cgroups) Setup(pods v1.ResourceList) error {
	if !c.Enabled {
		return nil
	}
	if err := c.apply([]string{"kubepods"}, limits(pods)); err != nil {
		return err
	}
	for _, class := range []string{"burstable", "besteffort"} {
		if err := c.apply([]string{"kubepods", class}, &cgroups.Resources{CpuShares: minShares}); err != nil {
			return err
		}
	}
	return nil
}

// Reserve limits a cgroup of the system's or Kubernetes' own daemons, which must exist, to what is reserved for them.
func (c Cgroups) Reserve(name string, reserved v1.ResourceList) error {
	config := &cgroups.Cgroup{Path: name, Resources: limits(reserved)}
	config.Resources.SkipDevices, config.Resources.SkipFreezeOnSet = true, true
	m, err := manager.New(config)
	if err != nil {
		return fmt.Errorf("cgroup %s: %w", name, err)
	}
	if !m.Exists() {
		return fmt.Errorf("cgroup %s does not exist: make it before the kubelet starts, or leave enforceNodeAllocatable to pods", name)
	}
	if err := m.Set(config.Resources); err != nil {
		return fmt.Errorf("setting cgroup %s: %w", name, err)
	}
	return nil
}

// limits are the kernel's for a list: a hard one of memory and processes, a share of the CPU.
func limits(list v1.ResourceList) *cgroups.Resources {
	r := &cgroups.Resources{CpuShares: minShares}
	if cpu, ok := list[v1.ResourceCPU]; ok {
		r.CpuShares = uint64(Shares(cpu.MilliValue())) // positive
	}
	if memory, ok := list[v1.ResourceMemory]; ok {
		r.Memory = memory.Value()
	}
	if pids, ok := list["pid"]; ok {
		n := pids.Value()
		r.PidsLimit = &n
	}
	return weighed(r)
}

// weighed has the CPU share in the terms of cgroup v2 too.
func weighed(r *cgroups.Resources) *cgroups.Resources {
	if Unified() {
		r.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(r.CpuShares)
	}
	return r
}

// ShareOut gives the burstable class the CPU share that its pods request together, so that it neither starves nor
// takes from the guaranteed ones. The best-effort class gets what others leave.
func (c Cgroups) ShareOut(pods []*v1.Pod) error {
	if !c.Enabled {
		return nil
	}
	var milli int64
	for _, p := range pods {
		if QOSClass(p) == v1.PodQOSBurstable {
			requests := resource.PodRequests(p, resource.PodResourcesOptions{})
			milli += requests.Cpu().MilliValue()
		}
	}
	return c.apply([]string{"kubepods", "burstable"}, &cgroups.Resources{CpuShares: uint64(Shares(milli))}) // positive
}

// Ensure makes the pod's cgroup with the sum of its containers' shares and, when all have limits, their limits.
func (c Cgroups) Ensure(pod *v1.Pod) error {
	if !c.Enabled {
		return nil
	}
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	limits := resource.PodLimits(pod, resource.PodResourcesOptions{})
	r := &cgroups.Resources{CpuShares: uint64(Shares(requests.Cpu().MilliValue()))}
	if c.PidsLimit > 0 {
		r.PidsLimit = &c.PidsLimit
	}
	if limited(pod, v1.ResourceCPU) && c.CPUQuota {
		r.CpuPeriod = uint64(c.CPUPeriod)
		r.CpuQuota = Quota(limits.Cpu().MilliValue(), c.CPUPeriod)
	}
	if limited(pod, v1.ResourceMemory) {
		r.Memory = limits.Memory().Value()
	}
	return c.apply(c.parts(pod), r)
}

// limited reports whether every container of the pod has a limit of the resource: without, the pod has none.
func limited(pod *v1.Pod, name v1.ResourceName) bool {
	if pod.Spec.Resources != nil {
		if _, ok := pod.Spec.Resources.Limits[name]; ok {
			return true
		}
	}
	for _, list := range [][]v1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range list {
			if q := c.Resources.Limits[name]; q.IsZero() {
				return false
			}
		}
	}
	return true
}

func (c Cgroups) manager(parts []string, r *cgroups.Resources) (cgroups.Manager, error) {
	config := &cgroups.Cgroup{Resources: r, Systemd: c.Systemd}
	r.SkipDevices = true
	r.SkipFreezeOnSet = true
	if c.Systemd {
		name := c.name(parts)
		config.Name = name
		if len(parts) > 1 {
			config.Parent = c.name(parts[:len(parts)-1])
		} else {
			config.Parent = "-.slice"
		}
	} else {
		config.Path = c.name(parts)
	}
	return manager.New(config)
}

func (c Cgroups) apply(parts []string, r *cgroups.Resources) error {
	m, err := c.manager(parts, weighed(r))
	if err != nil {
		return fmt.Errorf("cgroup %s: %w", c.name(parts), err)
	}
	if err := m.Apply(-1); err != nil {
		return fmt.Errorf("creating cgroup %s: %w", c.name(parts), err)
	}
	if err := m.Set(r); err != nil {
		return fmt.Errorf("setting cgroup %s: %w", c.name(parts), err)
	}
	return nil
}

// Remove removes the pod's cgroup, of whichever class it was, and ends what is still in it: the pod's containers have
// ended, so it is what a start that was broken off has left.
func (c Cgroups) Remove(uid types.UID) error {
	if !c.Enabled {
		return nil
	}
	var errs []string
	for _, class := range [][]string{{"kubepods"}, {"kubepods", "burstable"}, {"kubepods", "besteffort"}} {
		m, err := c.manager(append(class, "pod"+string(uid)), &cgroups.Resources{})
		if err != nil {
			continue
		}
		// Not Exists, which asks the devices hierarchy of v1 alone: a pod that never had a container is not in that.
		paths := slices.DeleteFunc(slices.Collect(maps.Values(m.GetPaths())), func(p string) bool { return !cgroups.PathExists(p) })
		if len(paths) == 0 {
			continue
		}
		endAll(paths)
		if err := m.Destroy(); err != nil {
			errs = append(errs, err.Error())
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("removing the cgroup of pod %s: %s", uid, strings.Join(errs, "; "))
	}
	return nil
}

// endAll ends every process in the cgroups. Those that do not end are told by their removal, which fails.
func endAll(paths []string) {
	for _, p := range paths {
		pids, _ := cgroups.GetAllPids(p)
		for _, pid := range pids {
			if pid > 0 { // 0: one that this PID namespace does not see
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
}

// Pods lists the UIDs that have cgroups: what an earlier kubelet left.
func (c Cgroups) Pods() []types.UID {
	if Unified() {
		return c.podsBelow("/sys/fs/cgroup")
	}
	return c.podsBelow("/sys/fs/cgroup/memory")
}

func (c Cgroups) podsBelow(base string) []types.UID {
	patterns := []string{"kubepods/pod*", "kubepods/burstable/pod*", "kubepods/besteffort/pod*"}
	if c.Systemd {
		patterns = []string{"kubepods-pod*.slice", "kubepods-burstable.slice/kubepods-burstable-pod*.slice", "kubepods-besteffort.slice/kubepods-besteffort-pod*.slice"}
		base = filepath.Join(base, "kubepods.slice")
	} else {
		base = filepath.Join(base, c.Root)
	}
	var found []types.UID
	for _, pattern := range patterns {
		dirs, _ := filepath.Glob(filepath.Join(base, pattern))
		for _, d := range dirs {
			if info, err := os.Stat(d); err == nil && info.IsDir() {
				found = append(found, podOf(filepath.Base(d)))
			}
		}
	}
	return found
}

// podOf is the pod that a cgroup is named after. A slice's name has the names above it too, and no signs of its own.
func podOf(name string) types.UID {
	if name, slice := strings.CutSuffix(name, ".slice"); slice {
		_, uid, _ := strings.Cut(name, "-pod")
		return types.UID(strings.ReplaceAll(uid, "_", "-"))
	}
	return types.UID(strings.TrimPrefix(name, "pod"))
}
