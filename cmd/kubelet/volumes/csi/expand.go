package csi

import (
	"context"
	"fmt"
	"slices"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/volumes"
)

// A volume that was made larger has a file system of the old size until the node's driver grows it (KEP-284, KEP-1790).
// The one who made it larger has raised the PersistentVolume's capacity, and said in the claim's status that it is the node's turn.

// growAll grows the mounted volumes that were made larger.
func (m *Manager) growAll(ctx context.Context) {
	for _, r := range m.mountedThat(func(r mounted) bool { return r.grows }) {
		if err := m.growIfLarger(ctx, r); err != nil {
			klog.FromContext(ctx).Info("A volume cannot be grown", "pod", klog.KObj(r.Pod), "volume", r.Name, "reason", err.Error())
		}
	}
}

func (m *Manager) growIfLarger(ctx context.Context, r mounted) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pv, err := m.Client.CoreV1().PersistentVolumes().Get(ctx, r.PV.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if size := pv.Spec.Capacity.Storage(); size.Cmp(r.size) <= 0 {
		return nil
	}
	claim, err := m.Client.CoreV1().PersistentVolumeClaims(r.Claim.Namespace).Get(ctx, r.Claim.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	r.PV, r.Claim = pv, claim
	return m.whileMounted(ctx, r, m.grow)
}

// grow has the driver grow the volume if it is the node's turn, and tells the claim and the pod how it went.
func (m *Manager) grow(ctx context.Context, v *volume) error {
	size := *v.PV.Spec.Capacity.Storage()
	if !nodesTurn(v.Claim) {
		if !severalNodes(v.PV) {
			m.setSize(v.Dir, sizeOf(v.CSIRequest)) // it was grown without this node, or it is not the node's turn yet
			return nil
		}
	} else if err := m.tellClaim(ctx, v.Claim, func(s *v1.PersistentVolumeClaimStatus) {
		setResize(s, v1.PersistentVolumeClaimNodeResizeInProgress)
	}); err != nil {
		return err
	}
	secrets, err := m.secrets(ctx, v.PV.Spec.CSI.NodeExpandSecretRef)
	if err != nil {
		return err
	}
	_, err = v.driver.node.NodeExpandVolume(ctx, &spec.NodeExpandVolumeRequest{
		VolumeId: v.Handle, VolumePath: targetOf(v.Dir), StagingTargetPath: v.Staging, VolumeCapability: v.capability(), Secrets: secrets,
		CapacityRange: &spec.CapacityRange{RequiredBytes: size.Value()}})
	if err != nil {
		return m.growFailed(ctx, v, fmt.Errorf("NodeExpandVolume of %s: %w", v.Handle, err))
	}
	m.setSize(v.Dir, size)
	m.event(v, v1.EventTypeNormal, "FileSystemResizeSuccessful", "NodeExpandVolume succeeded for volume "+v.Name)
	return m.tellClaim(ctx, v.Claim, func(s *v1.PersistentVolumeClaimStatus) { grown(s, size) })
}

// growFailed tells of err. What the driver can never do is not tried again until somebody asks for another size.
func (m *Manager) growFailed(ctx context.Context, v *volume, err error) error {
	m.event(v, v1.EventTypeWarning, "VolumeResizeFailed", err.Error())
	switch grpcstatus.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.OutOfRange:
		return m.tellClaim(ctx, v.Claim, func(s *v1.PersistentVolumeClaimStatus) {
			setResize(s, v1.PersistentVolumeClaimNodeResizeInfeasible)
		})
	}
	return err
}

// nodesTurn reports that the claim waits for its node.
func nodesTurn(claim *v1.PersistentVolumeClaim) bool {
	switch claim.Status.AllocatedResourceStatuses[v1.ResourceStorage] {
	case v1.PersistentVolumeClaimNodeResizePending, v1.PersistentVolumeClaimNodeResizeInProgress:
		return true
	case v1.PersistentVolumeClaimNodeResizeInfeasible:
		return false
	}
	// So says who knows conditions alone.
	return slices.ContainsFunc(claim.Status.Conditions, func(c v1.PersistentVolumeClaimCondition) bool {
		return c.Type == v1.PersistentVolumeClaimFileSystemResizePending && c.Status == v1.ConditionTrue
	})
}

// severalNodes reports that each node of several grows what it has mounted, whichever of them tells the claim first.
func severalNodes(pv *v1.PersistentVolume) bool {
	return slices.Contains(pv.Spec.AccessModes, v1.ReadWriteMany) || slices.Contains(pv.Spec.AccessModes, v1.ReadOnlyMany)
}

// setResize changes how far the growth has come, for those who follow it there.
func setResize(s *v1.PersistentVolumeClaimStatus, to v1.ClaimResourceStatus) {
	if _, followed := s.AllocatedResourceStatuses[v1.ResourceStorage]; followed {
		s.AllocatedResourceStatuses[v1.ResourceStorage] = to
	}
}

func grown(s *v1.PersistentVolumeClaimStatus, size resource.Quantity) {
	if s.Capacity == nil {
		s.Capacity = v1.ResourceList{}
	}
	s.Capacity[v1.ResourceStorage] = size
	delete(s.AllocatedResourceStatuses, v1.ResourceStorage)
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c v1.PersistentVolumeClaimCondition) bool {
		return c.Type == v1.PersistentVolumeClaimFileSystemResizePending || c.Type == v1.PersistentVolumeClaimResizing
	})
}

// tellClaim changes the claim's status as the API has it now, and takes it over.
func (m *Manager) tellClaim(ctx context.Context, claim *v1.PersistentVolumeClaim, change func(*v1.PersistentVolumeClaimStatus)) error {
	claims := m.Client.CoreV1().PersistentVolumeClaims(claim.Namespace)
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		now, err := claims.Get(ctx, claim.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&now.Status)
		now, err = claims.UpdateStatus(ctx, now, metav1.UpdateOptions{})
		if err == nil {
			*claim = *now
		}
		return err
	})
}

func (m *Manager) event(v *volume, kind, reason, text string) {
	if m.Recorder == nil {
		return
	}
	m.Recorder.Event(v.Pod, kind, reason, text)
	m.Recorder.Event(v.Claim, kind, reason, text)
}

// canGrow: the driver grows volumes of claims on the node.
func (v *volume) canGrow() bool { return v.Claim != nil && v.driver.expands }

// growAtMount grows a volume that was made larger while nobody used it. It is usable as it is, so a failure is only told.
func (m *Manager) growAtMount(ctx context.Context, v *volume) {
	if !v.canGrow() || v.PV.Spec.Capacity.Storage().Cmp(sizeOf(v.CSIRequest)) <= 0 {
		return
	}
	if err := m.grow(ctx, v); err != nil {
		klog.FromContext(ctx).Info("A volume cannot be grown", "pod", klog.KObj(v.Pod), "volume", v.Name, "reason", err.Error())
	}
}

// sizeOf is the size that the claim knows its file system to have.
func sizeOf(r volumes.CSIRequest) resource.Quantity {
	if r.Claim == nil {
		return resource.Quantity{}
	}
	return *r.Claim.Status.Capacity.Storage()
}
