package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pilotis.dev/cmd/kubelet/node/machine"
)

// runtimeState is what the container runtime last said of itself.
type runtimeState struct {
	version  string // containerd://2.3.7
	faults   []string
	handlers []v1.NodeRuntimeHandler
	features *v1.NodeFeatures
}

// askRuntime reads the runtime's version and readiness.
func (m *Manager) askRuntime(ctx context.Context) runtimeState {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	state := runtimeState{version: m.seen.version}
	if m.Runtime == nil {
		return state
	}
	if v, err := m.Runtime.Version(ctx, ""); err == nil {
		state.version = v.RuntimeName + "://" + v.RuntimeVersion
	}
	status, err := m.Runtime.Status(ctx, false)
	if err != nil {
		state.faults = append(state.faults, "container runtime is down")
		return state
	}
	state.faults = runtimeFaults(status.GetStatus().GetConditions())
	for _, h := range status.RuntimeHandlers {
		mounts, users := h.GetFeatures().GetRecursiveReadOnlyMounts(), h.GetFeatures().GetUserNamespaces()
		state.handlers = append(state.handlers, v1.NodeRuntimeHandler{Name: h.Name, Features: &v1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: &mounts, UserNamespaces: &users}})
	}
	slices.SortFunc(state.handlers, func(a, b v1.NodeRuntimeHandler) int { return strings.Compare(a.Name, b.Name) })
	if f := status.GetFeatures(); f != nil {
		state.features = &v1.NodeFeatures{SupplementalGroupsPolicy: &f.SupplementalGroupsPolicy}
	}
	return state
}

func runtimeFaults(conditions []*runtimeapi.RuntimeCondition) []string {
	var faults []string
	for _, want := range []struct{ name, text string }{
		{runtimeapi.RuntimeReady, "container runtime not ready: %s"},
		{runtimeapi.NetworkReady, "container runtime network not ready: %s"},
	} {
		i := slices.IndexFunc(conditions, func(c *runtimeapi.RuntimeCondition) bool { return c.Type == want.name })
		switch {
		case i < 0:
			faults = append(faults, fmt.Sprintf(want.text, "status not found"))
		case !conditions[i].Status:
			c := conditions[i]
			faults = append(faults, fmt.Sprintf(want.text, fmt.Sprintf("%s=false reason:%s message:%s", c.Type, c.Reason, c.Message)))
		}
	}
	return faults
}

// setReady writes the condition by which the scheduler and the node controller go.
func (m *Manager) setReady(node *v1.Node, now time.Time) {
	faults := slices.Clone(m.seen.faults)
	if m.NotReady != nil {
		if err := m.NotReady(); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if _, ok := node.Status.Capacity[v1.ResourceEphemeralStorage]; !ok {
		faults = append(faults, "missing node capacity for resources: ephemeral-storage")
	}
	c := v1.NodeCondition{Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}
	if len(faults) > 0 {
		c.Status, c.Reason, c.Message = v1.ConditionFalse, "KubeletNotReady", strings.Join(faults, ", ")
		if len(faults) > 1 {
			c.Message = "[" + c.Message + "]"
		}
	}
	known := slices.ContainsFunc(node.Status.Conditions, func(c v1.NodeCondition) bool { return c.Type == v1.NodeReady })
	changed := setCondition(node, c, now)
	if changed && c.Status == v1.ConditionTrue {
		m.note(v1.EventTypeNormal, "NodeReady", fmt.Sprintf("Node %s status is now: NodeReady", m.Name))
	} else if changed && known {
		m.note(v1.EventTypeNormal, "NodeNotReady", fmt.Sprintf("Node %s status is now: NodeNotReady", m.Name))
	}
}

// pressureText is how users know one pressure condition.
type pressureText struct {
	kind                  v1.NodeConditionType
	noReason, noMessage   string
	yesReason, yesMessage string
	noEvent, yesEvent     string
}

// pressureTexts lists the three in the order of the status.
func pressureTexts() []pressureText {
	return []pressureText{
		{v1.NodeMemoryPressure, "KubeletHasSufficientMemory", "kubelet has sufficient memory available", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasSufficientMemory", "NodeHasInsufficientMemory"},
		{v1.NodeDiskPressure, "KubeletHasNoDiskPressure", "kubelet has no disk pressure", "KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasNoDiskPressure", "NodeHasDiskPressure"},
		{v1.NodePIDPressure, "KubeletHasSufficientPID", "kubelet has sufficient PID available", "KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasSufficientPID", "NodeHasInsufficientPID"},
	}
}

// setPressures writes the three pressure conditions. One that ended stays for PressureSettle, so that it does not
// flicker.
func (m *Manager) setPressures(node *v1.Node, now time.Time) {
	present := m.signals()
	for _, t := range pressureTexts() {
		if present[t.kind] {
			m.pressure[t.kind] = now
		}
		last, was := m.pressure[t.kind]
		under := was && (present[t.kind] || now.Sub(last) < m.PressureSettle)
		c := v1.NodeCondition{Type: t.kind, Status: v1.ConditionFalse, Reason: t.noReason, Message: t.noMessage}
		event := t.noEvent
		if under {
			c.Status, c.Reason, c.Message, event = v1.ConditionTrue, t.yesReason, t.yesMessage, t.yesEvent
		}
		if setCondition(node, c, now) {
			m.note(v1.EventTypeNormal, event, fmt.Sprintf("Node %s status is now: %s", m.Name, event))
		}
	}
}

// signals tells which pressures there are at this moment by the hard eviction thresholds.
func (m *Manager) signals() map[v1.NodeConditionType]bool {
	present := map[v1.NodeConditionType]bool{}
	below := func(kind v1.NodeConditionType, signal string, available, total uint64) {
		text, ok := m.EvictionHard[signal]
		present[kind] = present[kind] || ok && available < threshold(text, total)
	}
	if available, total, err := m.Machine.AvailableMemory(); err == nil {
		below(v1.NodeMemoryPressure, signalMemory, available, total)
	}
	if fs, err := machine.ReadFilesystem(m.RootDir); err == nil {
		below(v1.NodeDiskPressure, signalNodeFS, fs.Available, fs.Capacity)
		below(v1.NodeDiskPressure, signalNodeInod, fs.InodesFree, fs.Inodes)
	}
	if m.images.root != "" {
		if fs, err := machine.ReadFilesystem(m.images.root); err == nil {
			below(v1.NodeDiskPressure, signalImageFS, fs.Available, fs.Capacity)
			below(v1.NodeDiskPressure, signalImageIno, fs.InodesFree, fs.Inodes)
		}
	}
	if running, limit, err := m.Machine.PIDs(); err == nil && limit > 0 {
		below(v1.NodePIDPressure, signalPIDs, uint64(max(limit-running, 0)), uint64(limit)) // not negative
	}
	return present
}

// setCondition writes a condition in its place and reports whether its status is another than before.
func setCondition(node *v1.Node, c v1.NodeCondition, now time.Time) bool {
	c.LastHeartbeatTime = metav1.NewTime(now)
	c.LastTransitionTime = c.LastHeartbeatTime
	for i := range node.Status.Conditions {
		have := &node.Status.Conditions[i]
		if have.Type != c.Type {
			continue
		}
		changed := have.Status != c.Status
		if !changed {
			c.LastTransitionTime = have.LastTransitionTime
		}
		*have = c
		return changed
	}
	node.Status.Conditions = append(node.Status.Conditions, c)
	return true
}
