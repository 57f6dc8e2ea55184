package node

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"pilotis.dev/api/quantities"
	"pilotis.dev/cmd/kubelet/node/machine"
)

// Eviction signals that a node reserves for (documentation of node-pressure eviction).
const (
	signalMemory   = "memory.available"
	signalNodeFS   = "nodefs.available"
	signalNodeInod = "nodefs.inodesFree"
	signalImageFS  = "imagefs.available"
	signalImageIno = "imagefs.inodesFree"
	signalPIDs     = "pid.available"
)

// setMachine writes what the machine has and what pods may use of it.
func (m *Manager) setMachine(node *v1.Node) {
	capacity := v1.ResourceList{
		v1.ResourceCPU:    *resource.NewQuantity(int64(m.info.CPUs), resource.DecimalSI),
		v1.ResourceMemory: *resource.NewQuantity(int64(m.info.Memory), resource.BinarySI), // below 2^63
		v1.ResourcePods:   *resource.NewQuantity(int64(m.MaxPods), resource.DecimalSI),
	}
	var huge uint64
	for size, pages := range m.info.HugePages {
		capacity[hugePages(size)] = *resource.NewQuantity(int64(size*pages), resource.BinarySI) // below 2^63
		huge += size * pages
	}
	if fs, err := machine.ReadFilesystem(m.RootDir); err == nil {
		capacity[v1.ResourceEphemeralStorage] = *resource.NewQuantity(int64(fs.Capacity), resource.BinarySI) // below 2^63
	}
	if node.Status.Capacity == nil {
		node.Status.Capacity = v1.ResourceList{}
	}
	for name, q := range capacity {
		node.Status.Capacity[name] = q // others, of device plugins, stay
	}
	node.Status.Allocatable = allocatable(node.Status.Capacity, m.Reserved, m.EvictionHard, huge)
	node.Status.NodeInfo = v1.NodeSystemInfo{
		MachineID: m.info.MachineID, SystemUUID: m.info.SystemUUID, BootID: m.info.BootID, KernelVersion: m.info.Kernel, OSImage: m.info.OSImage,
		KubeletVersion: m.KubeletVersion, OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
		ContainerRuntimeVersion: m.seen.version,
	}
	if m.info.Swap > 0 {
		swap := int64(m.info.Swap) // below 2^63
		node.Status.NodeInfo.Swap = &v1.NodeSwapStatus{Capacity: &swap}
	}
}

func hugePages(size uint64) v1.ResourceName {
	return v1.ResourceName(v1.ResourceHugePagesPrefix + resource.NewQuantity(int64(size), resource.BinarySI).String()) // below 2^63
}

// allocatable is the capacity less what is reserved, what hard eviction keeps free, and, of memory, huge pages.
func allocatable(capacity, reserved v1.ResourceList, eviction map[string]string, huge uint64) v1.ResourceList {
	out := v1.ResourceList{}
	for name, total := range capacity {
		q := total.DeepCopy()
		if r, ok := reserved[name]; ok {
			q.Sub(r)
		}
		switch name {
		case v1.ResourceMemory:
			q.Sub(*resource.NewQuantity(int64(threshold(eviction[signalMemory], uint64(total.Value()))), resource.BinarySI)) // below 2^63
			q.Sub(*resource.NewQuantity(int64(huge), resource.BinarySI))                                                     // below 2^63
		case v1.ResourceEphemeralStorage:
			q.Sub(*resource.NewQuantity(int64(threshold(eviction[signalNodeFS], uint64(total.Value()))), resource.BinarySI)) // below 2^63
		}
		if q.Sign() < 0 {
			q.Set(0)
		}
		out[name] = q
	}
	return out
}

// threshold is an eviction threshold in units of its signal: a quantity, or a percentage of the total. Validation of
// the configuration has refused others; they mean 0 here.
func threshold(text string, total uint64) uint64 {
	if text == "" {
		return 0
	}
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || p < 0 || p > 100 {
			return 0
		}
		return uint64(float64(total) * p / 100)
	}
	q, err := quantities.Parse(text)
	if err != nil || q.Sign() < 0 {
		return 0
	}
	return uint64(q.Value()) // not negative
}

// ParseReserved reads kubeReserved and systemReserved and adds them.
func ParseReserved(lists ...map[string]string) (v1.ResourceList, error) {
	sum := v1.ResourceList{}
	for _, list := range lists {
		for name, text := range list {
			q, err := quantities.Parse(text)
			if err != nil {
				return nil, fmt.Errorf("reserved %s: %w", name, err)
			}
			have := sum[v1.ResourceName(name)]
			have.Add(q)
			sum[v1.ResourceName(name)] = have
		}
	}
	return sum, nil
}
