package attachdetach

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// managed is the annotation of nodes whose kubelet leaves attaching to this controller.
const managed = "volumes.kubernetes.io/controller-managed-attach-detach"

// Volume is one that pods of a node need.
type Volume struct {
	PV   *v1.PersistentVolume
	Pods []*v1.Pod
}

// Held is an attachment and its volume.
type Held struct {
	PV         *v1.PersistentVolume
	Attachment *storagev1.VolumeAttachment
}

// Situation is what is known of one node.
type Situation struct {
	Name string
	// Node is nil when it is gone.
	Node *v1.Node
	// Wanted are the volumes to be attached.
	Wanted []Volume
	// Have are the node's attachments of this controller's making, by volume name.
	Have map[string]Held
	// Elsewhere are the other nodes that a volume is attached to, or being attached to.
	Elsewhere func(volume string) []string
	// Idle is how long an attachment has not been needed.
	Idle func(attachment string) time.Duration
	// Patience is the time that an unhealthy node gets to report that a volume is no longer in use; 0: forever.
	Patience time.Duration
}

// Plan is what the node's attachments need.
type Plan struct {
	Attach []*storagev1.VolumeAttachment
	// Blocked are wanted volumes that another node has for itself.
	Blocked []Volume
	Detach  []*storagev1.VolumeAttachment
	// Attached is to be reported in the node's status.
	Attached []v1.AttachedVolume
	// Wait is when to look again without an event; 0: not.
	Wait time.Duration
}

// String says the plan in a line.
func (p Plan) String() string {
	var parts []string
	for _, a := range p.Attach {
		parts = append(parts, "attach "+*a.Spec.Source.PersistentVolumeName)
	}
	for _, v := range p.Blocked {
		parts = append(parts, "leave "+v.PV.Name+" to its node")
	}
	for _, a := range p.Detach {
		parts = append(parts, "detach "+*a.Spec.Source.PersistentVolumeName)
	}
	if p.Wait > 0 {
		parts = append(parts, "look again after "+p.Wait.String())
	}
	return strings.Join(parts, "; ")
}

// PlanNode decides about the attachments of a node.
func PlanNode(s Situation) Plan {
	var plan Plan
	wanted := map[string]bool{}
	for _, v := range s.Wanted {
		wanted[v.PV.Name] = true
		_, there := s.Have[v.PV.Name]
		switch {
		case there: // also one that is going: it is made again when it is gone
		case s.Node == nil || s.Node.Annotations[managed] != "true":
		case exclusive(v.PV) && len(s.Elsewhere(v.PV.Name)) > 0:
			plan.Blocked = append(plan.Blocked, v)
		default:
			plan.Attach = append(plan.Attach, attachment(v.PV, s.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Have)) {
		a, pv := s.Have[name].Attachment, s.Have[name].PV
		if !wanted[name] && a.DeletionTimestamp == nil {
			wait, detach := s.mayDetach(a, pv)
			if detach {
				plan.Detach = append(plan.Detach, a)
				continue
			}
			if wait > 0 && (plan.Wait == 0 || wait < plan.Wait) {
				plan.Wait = wait
			}
		}
		if a.DeletionTimestamp == nil && a.Status.Attached {
			plan.Attached = append(plan.Attached, v1.AttachedVolume{Name: uniqueName(pv.Spec.CSI)})
		}
	}
	return plan
}

// mayDetach tells whether an attachment that nobody needs can go, or how long to wait for the node without an event from it.
func (s *Situation) mayDetach(a *storagev1.VolumeAttachment, pv *v1.PersistentVolume) (wait time.Duration, detach bool) {
	if s.Node != nil && (!slices.Contains(s.Node.Status.VolumesInUse, uniqueName(pv.Spec.CSI)) || outOfService(s.Node)) {
		return 0, true
	}
	if s.Patience <= 0 {
		return 0, false
	}
	if left := s.Patience - s.Idle(a.Name); left > 0 {
		return left, false
	}
	return 0, s.Node == nil || !healthy(s.Node)
}

func healthy(node *v1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c v1.NodeCondition) bool { return c.Type == v1.NodeReady && c.Status == v1.ConditionTrue })
}

func outOfService(node *v1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t v1.Taint) bool { return t.Key == v1.TaintNodeOutOfService })
}

// exclusive tells whether a volume can be on one node only.
func exclusive(pv *v1.PersistentVolume) bool {
	return len(pv.Spec.AccessModes) > 0 && !slices.ContainsFunc(pv.Spec.AccessModes, func(m v1.PersistentVolumeAccessMode) bool {
		return m == v1.ReadWriteMany || m == v1.ReadOnlyMany
	})
}

// attachment is a new one of a volume to a node.
func attachment(pv *v1.PersistentVolume, node string) *storagev1.VolumeAttachment {
	return &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: NameOf(pv.Spec.CSI, node)},
		Spec:       storagev1.VolumeAttachmentSpec{Attacher: pv.Spec.CSI.Driver, NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &pv.Name}},
	}
}

// NameOf is the name of a volume's attachment to a node, which the kubelet knows too.
func NameOf(source *v1.CSIPersistentVolumeSource, node string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(source.VolumeHandle+source.Driver+node)))
}

// uniqueName is a volume's name in a node's status.
func uniqueName(source *v1.CSIPersistentVolumeSource) v1.UniqueVolumeName {
	return v1.UniqueVolumeName(csiPrefix + source.Driver + "^" + source.VolumeHandle)
}

// blockedMessage tells a pod's user what holds its volume: the pods of the same namespace are named, others counted.
func blockedMessage(volume string, pod *v1.Pod, holders []*v1.Pod) string {
	var same []string
	others := 0
	for _, h := range holders {
		if h.Namespace == pod.Namespace {
			same = append(same, h.Name)
		} else {
			others++
		}
	}
	slices.Sort(same)
	message := "Volume is already exclusively attached to one node and can't be attached to another"
	switch {
	case len(same) > 0 && others > 0:
		message = fmt.Sprintf("Volume is already used by pod(s) %s and %d pod(s) in different namespaces", strings.Join(same, ", "), others)
	case len(same) > 0:
		message = "Volume is already used by pod(s) " + strings.Join(same, ", ")
	case others > 0:
		message = fmt.Sprintf("Volume is already used by %d pod(s) in different namespaces", others)
	}
	return fmt.Sprintf("Multi-Attach error for volume %q %s", volume, message)
}
