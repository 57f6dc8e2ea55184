package volumes

import (
	"context"
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	storagehelpers "k8s.io/component-helpers/storage/volume"
)

// claim follows a PersistentVolumeClaim to its volume and sets that up.
func (m *Manager) claim(ctx context.Context, r request) (Mounted, error) {
	if m.Client == nil {
		return Mounted{}, errors.New("a PersistentVolumeClaim cannot be read: this kubelet has no --kubeconfig")
	}
	name, readOnly := r.pod.Name+"-"+r.volume.Name, false
	if source := r.volume.PersistentVolumeClaim; source != nil {
		name, readOnly = source.ClaimName, source.ReadOnly
	}
	claim, err := m.Client.CoreV1().PersistentVolumeClaims(r.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Mounted{}, fmt.Errorf("error processing PVC %s/%s: %w", r.pod.Namespace, name, err)
	}
	if r.volume.Ephemeral != nil && !metav1.IsControlledBy(claim, r.pod) {
		return Mounted{}, fmt.Errorf("PVC %s/%s was not created for pod %s/%s (pod is not owner)", claim.Namespace, name, r.pod.Namespace, r.pod.Name)
	}
	switch {
	case claim.DeletionTimestamp != nil:
		return Mounted{}, fmt.Errorf("error processing PVC %s/%s: can't start pod because PVC is being deleted", claim.Namespace, name)
	case claim.Status.Phase != v1.ClaimBound || claim.Spec.VolumeName == "":
		return Mounted{}, fmt.Errorf("error processing PVC %s/%s: PVC is not bound", claim.Namespace, name)
	}
	pv, err := m.Client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return Mounted{}, fmt.Errorf("failed to get PV %s of PVC %s/%s: %w", claim.Spec.VolumeName, claim.Namespace, name, err)
	}
	if pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.UID != claim.UID {
		return Mounted{}, fmt.Errorf("PV %s is bound to another claim than PVC %s/%s", pv.Name, claim.Namespace, name)
	}
	return m.persistent(ctx, r, pv, claim, readOnly)
}

// persistent sets a PersistentVolume up, by its kind.
func (m *Manager) persistent(ctx context.Context, r request, pv *v1.PersistentVolume, claim *v1.PersistentVolumeClaim, readOnly bool) (Mounted, error) {
	if node, err := m.node(); err != nil {
		return Mounted{}, err
	} else if node != nil {
		if err := storagehelpers.CheckNodeAffinity(pv, node.Labels); err != nil {
			return Mounted{}, fmt.Errorf("PV %s cannot be used on this node: %w", pv.Name, err)
		}
	}
	source := pv.Spec.PersistentVolumeSource
	r.name = pv.Name
	mounted := Mounted{}
	var err error
	switch {
	case source.HostPath != nil:
		mounted, err = m.hostPath(source.HostPath)
	case source.Local != nil:
		mounted, err = m.local(r, pv)
	case source.NFS != nil:
		mounted, err = m.nfs(ctx, r, source.NFS, pv.Spec.MountOptions)
	case source.CSI != nil:
		return m.csi(ctx, CSIRequest{Pod: r.pod, Name: pv.Name, PV: pv, Claim: claim, ReadOnly: readOnly || source.CSI.ReadOnly, FSGroup: fsGroup(r.pod)})
	default:
		return Mounted{}, fmt.Errorf("PV %s: no volume plugin matched: this kind of volume is not served by this node", pv.Name)
	}
	mounted.ReadOnly = mounted.ReadOnly || readOnly
	return mounted, err
}

func (m *Manager) node() (*v1.Node, error) {
	if m.Node == nil {
		return nil, nil
	}
	return m.Node()
}
