package csi

import (
	"context"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
)

// publishNode writes the CSINode, by which the scheduler and the controllers know what drivers this node has, under
// what name each knows it, and how many volumes fit. It exists also without drivers.
func (m *Manager) publishNode(ctx context.Context) error {
	if m.Client == nil {
		return nil
	}
	var wanted []storagev1.CSINodeDriver
	labels := map[string]string{}
	for _, d := range m.drivers.all() {
		entry := storagev1.CSINodeDriver{Name: d.name, NodeID: d.nodeID, TopologyKeys: slices.Sorted(maps.Keys(d.topology))}
		if d.maxVolumes > 0 {
			count := int32(min(d.maxVolumes, 1<<31-1)) // bounded
			entry.Allocatable = &storagev1.VolumeNodeResources{Count: &count}
		}
		wanted = append(wanted, entry)
		maps.Copy(labels, d.topology)
	}
	if err := m.labelNode(ctx, labels); err != nil {
		return err
	}
	nodes := m.Client.StorageV1().CSINodes()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have, err := nodes.Get(ctx, m.NodeName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return m.createNode(ctx, wanted)
		}
		if err != nil {
			return err
		}
		if equality.Semantic.DeepEqual(have.Spec.Drivers, wanted) || len(have.Spec.Drivers)+len(wanted) == 0 {
			return nil
		}
		next := have.DeepCopy()
		next.Spec.Drivers = wanted
		_, err = nodes.Update(ctx, next, metav1.UpdateOptions{})
		return err
	})
}

func (m *Manager) createNode(ctx context.Context, wanted []storagev1.CSINodeDriver) error {
	node, err := m.Client.CoreV1().Nodes().Get(ctx, m.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	_, err = m.Client.StorageV1().CSINodes().Create(ctx, &storagev1.CSINode{
		ObjectMeta: metav1.ObjectMeta{Name: m.NodeName, OwnerReferences: []metav1.OwnerReference{{APIVersion: v1.SchemeGroupVersion.String(), Kind: "Node", Name: node.Name, UID: node.UID}}},
		Spec:       storagev1.CSINodeSpec{Drivers: slices.Clip(append([]storagev1.CSINodeDriver{}, wanted...))},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return apierrors.NewConflict(storagev1.Resource("csinodes"), m.NodeName, err) // look again
	}
	return err
}

// labelNode puts the topology that drivers report onto the Node.
func (m *Manager) labelNode(ctx context.Context, labels map[string]string) error {
	if len(labels) == 0 {
		return nil
	}
	patch, err := labelPatch(labels)
	if err != nil {
		return err
	}
	_, err = m.Client.CoreV1().Nodes().Patch(ctx, m.NodeName, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	return err
}
