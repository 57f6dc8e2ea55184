package node

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"
)

// renewShare of the lease's duration passes between renewals (KEP-589).
const renewShare = 0.25

// runLease renews the lease by which the node controller knows that this node lives.
func (m *Manager) runLease(ctx context.Context) {
	renew := time.Duration(float64(m.LeaseDuration) * renewShare)
	lost := m.OnConnectionLost
	if lost == nil {
		lost = func() {}
	}
	seconds := int32(m.LeaseDuration / time.Second) // 40 or so
	lease.NewController(clock.RealClock{}, m.Client, m.Name, seconds, lost, renew, m.Name, v1.NamespaceNodeLease, m.ownLease).Run(ctx)
}

// ownLease makes the Node own the lease, so that it goes with it.
func (m *Manager) ownLease(l *coordinationv1.Lease) error {
	if len(l.OwnerReferences) > 0 {
		return nil
	}
	if node := m.Registered(); node != nil {
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1.SchemeGroupVersion.WithKind("Node").Version, Kind: "Node", Name: m.Name, UID: node.UID}}
	}
	return nil
}
