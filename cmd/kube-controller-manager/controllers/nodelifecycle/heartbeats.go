package nodelifecycle

import (
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationlisters "k8s.io/client-go/listers/coordination/v1"
	"k8s.io/utils/clock"
)

// heartbeats knows when something was last heard of each node, by this controller's clock: clocks of nodes may differ.
// A node is heard of when its Lease is renewed or its status is posted (KEP-589).
type heartbeats struct {
	clock  clock.PassiveClock
	leases coordinationlisters.LeaseNamespaceLister

	mu   sync.Mutex
	last map[string]heartbeat
}

// neverUpdated is the reason of conditions that this controller wrote for a node that never reported.
const neverUpdated = "NodeStatusNeverUpdated"

type heartbeat struct {
	lease  *metav1.MicroTime
	status *metav1.Time
	seen   time.Time
}

// silence is how long nothing was heard of the node. A node that never said anything is silent since it was created.
func (h *heartbeats) silence(n *v1.Node) time.Duration {
	var renewed *metav1.MicroTime
	if l, err := h.leases.Get(n.Name); err == nil {
		renewed = l.Spec.RenewTime
	}
	var status *metav1.Time
	if ready := conditionOf(n, v1.NodeReady); ready != nil && ready.Reason != neverUpdated {
		status = &ready.LastHeartbeatTime
	}
	now := h.clock.Now()
	if renewed == nil && status == nil {
		return now.Sub(n.CreationTimestamp.Time)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, known := h.last[n.Name]
	if !known || !renewed.Equal(b.lease) || !status.Equal(b.status) {
		b = heartbeat{lease: renewed, status: status, seen: now}
		h.last[n.Name] = b
	}
	return now.Sub(b.seen)
}

func (h *heartbeats) forget(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.last, name)
}

// forgive counts every node's silence from now on.
func (h *heartbeats) forgive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, b := range h.last {
		b.seen = h.clock.Now()
		h.last[name] = b
	}
}

// unknown is the node with every condition that its kubelet keeps set to Unknown; ok is false when they are already.
func unknown(n *v1.Node, now time.Time) (changed *v1.Node, ok bool) {
	changed = n.DeepCopy()
	for _, kind := range []v1.NodeConditionType{v1.NodeReady, v1.NodeMemoryPressure, v1.NodeDiskPressure, v1.NodePIDPressure} {
		c := conditionOf(changed, kind)
		switch {
		case c == nil:
			changed.Status.Conditions = append(changed.Status.Conditions, v1.NodeCondition{Type: kind, Status: v1.ConditionUnknown, Reason: neverUpdated,
				Message: "Kubelet never posted node status.", LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: metav1.NewTime(now)})
			ok = true
		case c.Status != v1.ConditionUnknown:
			c.Status, c.Reason, c.Message, c.LastTransitionTime = v1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.", metav1.NewTime(now)
			ok = true
		}
	}
	return changed, ok
}
