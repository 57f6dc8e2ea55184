package plugins

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// Volumes is what the volume plugins read.
type Volumes struct {
	Claims   corelisters.PersistentVolumeClaimLister
	Volumes  corelisters.PersistentVolumeLister
	Classes  storagelisters.StorageClassLister
	CSINodes storagelisters.CSINodeLister
}

// claimName is the claim behind a pod's volume: one that the pod names, or the one made for an ephemeral volume.
func claimName(pod *v1.Pod, v *v1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return pod.Name + "-" + v.Name
	}
	return ""
}

// claims gives the pod's claims. One that is missing or going away excludes every node.
func (v Volumes) claims(pod *v1.Pod) ([]*v1.PersistentVolumeClaim, *framework.Status) {
	var out []*v1.PersistentVolumeClaim
	for i := range pod.Spec.Volumes {
		name := claimName(pod, &pod.Spec.Volumes[i])
		if name == "" {
			continue
		}
		claim, err := v.Claims.PersistentVolumeClaims(pod.Namespace).Get(name)
		switch {
		case apierrors.IsNotFound(err) && pod.Spec.Volumes[i].Ephemeral != nil:
			return nil, framework.NewStatus(framework.UnschedulableAndUnresolvable, fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", name))
		case apierrors.IsNotFound(err):
			return nil, framework.NewStatus(framework.UnschedulableAndUnresolvable, fmt.Sprintf("persistentvolumeclaim %q not found", name))
		case err != nil:
			return nil, framework.AsStatus(err)
		case claim.DeletionTimestamp != nil:
			return nil, framework.NewStatus(framework.UnschedulableAndUnresolvable, fmt.Sprintf("persistentvolumeclaim %q is being deleted", name))
		case claim.Status.Phase == v1.ClaimLost:
			return nil, framework.NewStatus(framework.UnschedulableAndUnresolvable, fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", name, claim.Spec.VolumeName))
		}
		out = append(out, claim)
	}
	return out, nil
}

// class is the claim's StorageClass; nil: it has none, or it does not exist.
func (v Volumes) class(claim *v1.PersistentVolumeClaim) *storagev1.StorageClass {
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return nil
	}
	class, err := v.Classes.Get(*claim.Spec.StorageClassName)
	if err != nil {
		return nil
	}
	return class
}

func waitsForConsumer(class *storagev1.StorageClass) bool {
	return class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// volumeEvent reports whether the event is of a kind that may make a pod's volumes fit.
func volumeEvent(e Event) bool {
	const any = framework.All
	return e.Is(framework.PersistentVolumeClaim, any) || e.Is(framework.PersistentVolume, any) ||
		e.Is(framework.StorageClass, framework.Add|framework.Update) || e.Is(framework.CSINode, framework.Add|framework.Update) ||
		e.Is(framework.VolumeAttachment, framework.Delete) || e.Is(framework.Node, framework.Add|framework.UpdateNodeLabel)
}

// VolumeRestrictions keeps a ReadWriteOncePod claim to a single pod.
type VolumeRestrictions struct{ Volumes }

func (VolumeRestrictions) Name() string { return "VolumeRestrictions" }

// PrepareFilter looks for another pod with the claim.
func (p VolumeRestrictions) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	claims, status := p.claims(c.Pod.Pod)
	if status != nil {
		return nil, nil // VolumeBinding says so
	}
	for _, claim := range claims {
		for _, mode := range claim.Spec.AccessModes {
			if mode != v1.ReadWriteOncePod {
				continue
			}
			key := keyOf(claim)
			for _, n := range c.Snapshot.Nodes {
				if n.Claims[key] > 0 {
					return nil, framework.NewStatus(framework.Unschedulable, "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode")
				}
			}
		}
	}
	return nil, nil
}

// Wakes: the other pod goes.
func (VolumeRestrictions) Wakes(e Event, _ *snapshot.Pod) bool {
	return e.Is(framework.AssignedPod, framework.Delete) || e.Is(framework.PersistentVolumeClaim, framework.Add|framework.Update)
}

// NodeVolumeLimits keeps a node from having more volumes of a CSI driver than its CSINode allows.
type NodeVolumeLimits struct{ Volumes }

func (NodeVolumeLimits) Name() string { return "NodeVolumeLimits" }

// PrepareFilter counts the pod's volumes by driver.
func (p NodeVolumeLimits) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	claims, status := p.claims(c.Pod.Pod)
	if status != nil || len(claims) == 0 {
		return nil, nil
	}
	wanted := map[string]string{} // volume to driver
	for _, claim := range claims {
		if volume, driver := p.driver(claim); driver != "" {
			wanted[volume] = driver
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	return FilterFunc(func(n *snapshot.Node) *framework.Status { return p.filter(n, wanted) }), nil
}

func (p NodeVolumeLimits) filter(n *snapshot.Node, wanted map[string]string) *framework.Status {
	csi, err := p.CSINodes.Get(n.Name)
	if err != nil {
		return nil // no limits are known
	}
	volumes := map[string]string{}
	for key := range n.Claims {
		if claim, err := p.Claims.PersistentVolumeClaims(key.Namespace).Get(key.Name); err == nil {
			if volume, driver := p.driver(claim); driver != "" {
				volumes[volume] = driver
			}
		}
	}
	for volume, driver := range wanted {
		volumes[volume] = driver
	}
	count := map[string]int32{}
	for _, driver := range volumes {
		count[driver]++
	}
	for _, d := range csi.Spec.Drivers {
		if d.Allocatable == nil || d.Allocatable.Count == nil || count[d.Name] <= *d.Allocatable.Count {
			continue
		}
		for _, driver := range wanted {
			if driver == d.Name {
				return framework.NewStatus(framework.Unschedulable, "node(s) exceed max volume count")
			}
		}
	}
	return nil
}

// driver names the CSI driver of the claim's volume, or of the one that will be provisioned for it.
func (p NodeVolumeLimits) driver(claim *v1.PersistentVolumeClaim) (volume, driver string) {
	if claim.Spec.VolumeName != "" {
		pv, err := p.Volumes.Volumes.Get(claim.Spec.VolumeName)
		if err != nil || pv.Spec.CSI == nil {
			return "", ""
		}
		return pv.Spec.CSI.Driver + "/" + pv.Spec.CSI.VolumeHandle, pv.Spec.CSI.Driver
	}
	if class := p.class(claim); class != nil {
		return claim.Namespace + "/" + claim.Name, class.Provisioner
	}
	return "", ""
}

// Wakes: a CSINode changes, or a pod with volumes goes.
func (NodeVolumeLimits) Wakes(e Event, _ *snapshot.Pod) bool {
	return e.Is(framework.AssignedPod, framework.Delete) || volumeEvent(e)
}
