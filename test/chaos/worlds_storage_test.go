package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	internalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	migrationv1 "k8s.io/api/storagemigration/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/chaos/memapi"
)

func storageWorlds() map[string]func() World {
	return map[string]func() World{
		"persistentvolume-binder-controller":          boundVolumes,
		"persistentvolumeclaim-protection-controller": protectedClaims,
		"persistentvolume-protection-controller":      protectedVolumes,
		"volumeattributesclass-protection-controller": protectedClasses,
		"ephemeral-volume-controller":                 ephemeralClaims,
		"persistentvolume-attach-detach-controller":   attachments,
		"persistentvolume-expander-controller":        growing,
		"resourceclaim-controller":                    deviceClaims,
		"device-taint-eviction-controller":            taintedDevices,
		"storage-version-migrator-controller":         migrations,
		"storageversion-garbage-collector-controller": storedVersions,
		"selinux-warning-controller":                  labelledVolumes,
	}
}

const (
	claimProtection  = "kubernetes.io/pvc-protection"
	volumeProtection = "kubernetes.io/pv-protection"
	classProtection  = "kubernetes.io/vac-protection"
)

func volume(name, size string) *v1.PersistentVolume {
	return &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{volumeProtection}}, Spec: v1.PersistentVolumeSpec{
		Capacity: v1.ResourceList{v1.ResourceStorage: quantity(size)}, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}, PersistentVolumeReclaimPolicy: v1.PersistentVolumeReclaimRetain,
		PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: "disks.example.com", VolumeHandle: name}},
	}, Status: v1.PersistentVolumeStatus{Phase: v1.VolumePending}}
}

func claim(name, size string) *v1.PersistentVolumeClaim {
	return &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Finalizers: []string{claimProtection}}, Spec: v1.PersistentVolumeClaimSpec{
		AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}, StorageClassName: ptr.To(""),
		Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: quantity(size)}},
	}, Status: v1.PersistentVolumeClaimStatus{Phase: v1.ClaimPending}}
}

func dropClaim(name string) func(c *Case) {
	return func(c *Case) { remove[v1.PersistentVolumeClaim](c, ns, name, "") }
}

func boundVolumes() World {
	return World{
		With: []string{"persistentvolumeclaim-protection-controller"},
		Begin: func(c *Case) {
			c.Make(volume("v1", "5Gi"), volume("v2", "10Gi"), volume("v3", "20Gi"), claim("a", "4Gi"), claim("b", "8Gi"))
		},
		Steps: []func(c *Case){
			func(c *Case) { c.Make(claim("c", "1Gi")) }, dropClaim("a"), func(c *Case) { c.Make(volume("v4", "3Gi"), volume("v5", "6Gi")) },
			func(c *Case) { _, _ = c.Server.Create("user", toObject(claim("a", "2Gi"))) }, func(c *Case) { c.Make(claim("huge", "100Gi")) },
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor != "persistent-volume-binder" || e.Old == nil {
				return
			}
			switch e.Kind.Kind {
			case "PersistentVolumeClaim":
				before, after := typed[v1.PersistentVolumeClaim](e.Old), typed[v1.PersistentVolumeClaim](e.Object)
				if before.Spec.VolumeName != "" && before.Spec.VolumeName != after.Spec.VolumeName {
					c.Wrong("claim %s is moved from %s to %s", after.Name, before.Spec.VolumeName, after.Spec.VolumeName)
				}
				for _, other := range all[v1.PersistentVolumeClaim](c) {
					if other.UID != after.UID && other.Spec.VolumeName != "" && other.Spec.VolumeName == after.Spec.VolumeName {
						c.Wrong("claims %s and %s have the volume %s", other.Name, after.Name, after.Spec.VolumeName)
					}
				}
			case "PersistentVolume":
				before, after := typed[v1.PersistentVolume](e.Old), typed[v1.PersistentVolume](e.Object)
				if e.Type == "DELETED" || e.Object.GetDeletionTimestamp() != nil {
					c.Wrong("volume %s, which is to be retained, is deleted", after.Name)
				}
				if before.Status.Phase == v1.VolumeBound && before.Spec.ClaimRef != nil && (after.Spec.ClaimRef == nil || after.Spec.ClaimRef.UID != before.Spec.ClaimRef.UID) {
					if owner := one[v1.PersistentVolumeClaim](c, ns, before.Spec.ClaimRef.Name); owner != nil && owner.UID == before.Spec.ClaimRef.UID && owner.Spec.VolumeName == after.Name {
						c.Wrong("volume %s is taken from claim %s", after.Name, owner.Name)
					}
				}
			}
		},
		Done: func(c *Case) error {
			owners := map[string]string{}
			for _, pv := range all[v1.PersistentVolume](c) {
				if pv.Spec.ClaimRef == nil {
					continue
				}
				if cl := one[v1.PersistentVolumeClaim](c, ns, pv.Spec.ClaimRef.Name); cl != nil && cl.UID == pv.Spec.ClaimRef.UID {
					if other := owners[cl.Name]; other != "" {
						return fmt.Errorf("claim %s has the volumes %s and %s", cl.Name, other, pv.Name)
					}
					owners[cl.Name] = pv.Name
					if err := missing("phase of "+pv.Name, pv.Status.Phase, v1.VolumeBound); err != nil {
						return err
					}
				} else if err := missing("phase of "+pv.Name, pv.Status.Phase, v1.VolumeReleased); err != nil {
					return err
				}
			}
			for _, cl := range all[v1.PersistentVolumeClaim](c) {
				want := v1.ClaimBound
				if cl.Name == "huge" {
					want = v1.ClaimPending
				}
				if err := inOrder(missing("phase of "+cl.Name, cl.Status.Phase, want), missing("volume of "+cl.Name, cl.Spec.VolumeName, owners[cl.Name])); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// userOf is a pod with a claim, bound to a node if one is named.
func userOf(name, claim, node string) *v1.Pod {
	p := &v1.Pod{ObjectMeta: meta(name), Spec: template("x").Spec}
	p.Spec.NodeName = node
	p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
	return p
}

func uses(pod *v1.Pod, claim string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v v1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
	})
}

func dropPod(name string) func(c *Case) { return func(c *Case) { remove[v1.Pod](c, ns, name, "") } }

// useAndDrop makes a pod with a claim, and deletes the claim two seconds later.
func useAndDrop(name string) func(c *Case) {
	return func(c *Case) {
		c.Make(userOf("p"+name, name, "n1"))
		time.Sleep(2 * time.Second)
		dropClaim(name)(c)
	}
}

func protectedClaims() World {
	return World{
		Begin: func(c *Case) {
			c.makeNodes(2)
			c.Make(claim("d", "1Gi"), claim("e", "1Gi"), claim("f", "1Gi"), claim("a", "1Gi"), claim("b", "1Gi"), claim("c", "1Gi"), userOf("pa", "a", "n1"), userOf("pb", "b", "n2"))
		},
		Steps: []func(c *Case){
			useAndDrop("d"), useAndDrop("e"), useAndDrop("f"),
			func(c *Case) { c.Make(userOf("pc", "c", "n1")) }, dropClaim("c"), dropClaim("a"), dropPod("pa"),
			func(c *Case) { c.Make(userOf("pa2", "a", "")) }, dropClaim("b"), dropPod("pc"), func(c *Case) { _, _ = c.Server.Create("user", toObject(claim("c", "2Gi"))) },
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource != "persistentvolumeclaims" || e.Actor != "pvc-protection-controller" || e.Old == nil || !slices.Contains(e.Old.GetFinalizers(), claimProtection) ||
				slices.Contains(e.Object.GetFinalizers(), claimProtection) {
				return
			}
			for _, pod := range all[v1.Pod](c) {
				if uses(pod, e.Object.GetName()) && pod.Spec.NodeName != "" && !finished(pod) && pod.CreationTimestamp.Before(e.Object.GetDeletionTimestamp()) {
					c.Wrong("claim %s is let go while pod %s uses it", e.Object.GetName(), pod.Name)
				}
			}
		},
		Done: func(c *Case) error {
			for _, cl := range all[v1.PersistentVolumeClaim](c) {
				used := slices.ContainsFunc(all[v1.Pod](c), func(p *v1.Pod) bool { return uses(p, cl.Name) })
				if cl.DeletionTimestamp != nil && !used {
					return fmt.Errorf("claim %s is still there, and nobody uses it", cl.Name)
				}
			}
			if one[v1.PersistentVolumeClaim](c, ns, "b") == nil {
				return fmt.Errorf("claim b is gone, which pod pb uses")
			}
			return nil
		},
	}
}

func protectedVolumes() World {
	phase := func(name string, phase v1.PersistentVolumePhase) func(c *Case) {
		return func(c *Case) {
			edit[v1.PersistentVolume](c, "user", "", name, func(pv *v1.PersistentVolume) { pv.Status.Phase = phase })
		}
	}
	drop := func(name string) func(c *Case) { return func(c *Case) { remove[v1.PersistentVolume](c, "", name, "") } }
	return World{
		Begin: func(c *Case) {
			for _, name := range []string{"a", "b", "c"} {
				pv := volume(name, "1Gi")
				pv.Status.Phase = v1.VolumeBound
				c.Make(pv)
			}
		},
		Steps: []func(c *Case){drop("a"), drop("b"), phase("a", v1.VolumeReleased), phase("c", v1.VolumeAvailable), drop("c"), func(c *Case) {
			bare := volume("d", "1Gi")
			bare.Finalizers = nil
			c.Make(bare)
		}},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor == "pv-protection-controller" && len(e.Object.GetFinalizers()) == 0 {
				if pv := typed[v1.PersistentVolume](e.Old); pv.Status.Phase == v1.VolumeBound {
					c.Wrong("volume %s is let go, which is bound", pv.Name)
				}
			}
		},
		Done: func(c *Case) error {
			var left []string
			for _, pv := range all[v1.PersistentVolume](c) {
				left = append(left, pv.Name+" "+strings.Join(pv.Finalizers, ","))
			}
			return missing("volumes", left, []string{"b " + volumeProtection, "d " + volumeProtection})
		},
	}
}

func protectedClasses() World {
	class := func(name string) *storagev1.VolumeAttributesClass {
		return &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: name}, DriverName: "disks.example.com", Parameters: map[string]string{"iops": "1"}}
	}
	drop := func(name string) func(c *Case) {
		return func(c *Case) { remove[storagev1.VolumeAttributesClass](c, "", name, "") }
	}
	return World{
		Begin: func(c *Case) {
			user := claim("a", "1Gi")
			user.Spec.VolumeAttributesClassName = ptr.To("used")
			c.Make(class("used"), class("free"), class("stays"), user)
			time.Sleep(5 * time.Second)
		},
		Steps: []func(c *Case){drop("free"), drop("used"), func(c *Case) {
			edit[v1.PersistentVolumeClaim](c, "user", ns, "a", func(cl *v1.PersistentVolumeClaim) { cl.Spec.VolumeAttributesClassName = ptr.To("stays") })
		}, drop("stays")},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor == "volumeattributesclass-protection-controller" && len(e.Object.GetFinalizers()) == 0 {
				for _, cl := range all[v1.PersistentVolumeClaim](c) {
					if n := cl.Spec.VolumeAttributesClassName; n != nil && *n == e.Object.GetName() {
						c.Wrong("class %s is let go while claim %s uses it", *n, cl.Name)
					}
				}
			}
		},
		Done: func(c *Case) error {
			for _, k := range all[storagev1.VolumeAttributesClass](c) {
				if k.DeletionTimestamp != nil && k.Name != "stays" {
					return fmt.Errorf("class %s is still there", k.Name)
				}
			}
			return nil
		},
	}
}

func ephemeralClaims() World {
	pod := func(name string) *v1.Pod {
		p := &v1.Pod{ObjectMeta: meta(name), Spec: template("x").Spec}
		p.Spec.Volumes = []v1.Volume{{Name: "scratch", VolumeSource: v1.VolumeSource{Ephemeral: &v1.EphemeralVolumeSource{VolumeClaimTemplate: &v1.PersistentVolumeClaimTemplate{Spec: claim("x", "1Gi").Spec}}}}}
		return p
	}
	return World{
		With:  []string{"garbage-collector-controller"},
		Begin: func(c *Case) { c.makeNodes(1); c.Make(pod("a"), pod("b"), claim("taken-scratch", "1Gi")) },
		Steps: []func(c *Case){
			func(c *Case) { c.Make(pod("taken")) }, dropPod("a"), func(c *Case) { dropClaim("b-scratch")(c) }, func(c *Case) { _, _ = c.Server.Create("user", toObject(pod("a"))) },
			func(c *Case) { c.Make(pod("c")) },
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor == "generic-garbage-collector" && e.Object.GetName() == "taken-scratch" {
				c.Wrong("the claim of a user is touched")
			}
		},
		Done: func(c *Case) error {
			for _, p := range all[v1.Pod](c) {
				if p.DeletionTimestamp != nil || p.Name == "taken" {
					continue
				}
				if cl := one[v1.PersistentVolumeClaim](c, ns, p.Name+"-scratch"); cl == nil || controllerUID(cl) != p.UID {
					return fmt.Errorf("pod %s has no claim of its own", p.Name)
				}
			}
			return nil
		},
	}
}

// attachments has a driver's attacher and kubelets that mount what is attached.
func attachments() World {
	const driver = "disks.example.com"
	inUse := func(name string) v1.UniqueVolumeName {
		return v1.UniqueVolumeName("kubernetes.io/csi/" + driver + "^" + name)
	}
	// mounted is when a volume was last used on a node: unmounting takes some seconds.
	mounted := map[string]time.Time{}
	attach := func(c *Case) {
		var list []*storagev1.VolumeAttachment
		var nodes []*v1.Node
		var pods []*v1.Pod
		c.Server.Locked(func() { list, nodes, pods = all[storagev1.VolumeAttachment](c), all[v1.Node](c), all[v1.Pod](c) })
		for _, a := range list {
			switch {
			case a.DeletionTimestamp != nil:
				edit[storagev1.VolumeAttachment](c, "attacher", "", a.Name, func(o *storagev1.VolumeAttachment) { o.Finalizers = nil })
			case !a.Status.Attached:
				edit[storagev1.VolumeAttachment](c, "attacher", "", a.Name, func(o *storagev1.VolumeAttachment) {
					o.Finalizers, o.Status.Attached = []string{"external-attacher/x"}, true
				})
			}
		}
		for _, n := range nodes {
			if c.Nodes.Lost[n.Name] {
				continue
			}
			var want []v1.UniqueVolumeName
			for _, a := range list {
				used := slices.ContainsFunc(pods, func(p *v1.Pod) bool {
					return p.Spec.NodeName == n.Name && uses(p, "c-"+*a.Spec.Source.PersistentVolumeName)
				})
				if used && a.Status.Attached && a.Spec.NodeName == n.Name {
					mounted[a.Name] = time.Now()
				}
				if a.Spec.NodeName == n.Name && time.Since(mounted[a.Name]) < 6*time.Second {
					want = append(want, inUse(*a.Spec.Source.PersistentVolumeName))
				}
			}
			slices.Sort(want)
			if !slices.Equal(want, n.Status.VolumesInUse) {
				edit[v1.Node](c, "kubelet", "", n.Name, func(o *v1.Node) { o.Status.VolumesInUse = want })
			}
		}
	}
	return World{
		Begin: func(c *Case) {
			c.Nodes.Tick = attach
			for i := range 3 {
				node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i+1), Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}}
				setReady(node, v1.ConditionTrue)
				c.Make(node)
			}
			for _, name := range []string{"a", "b"} {
				cl := claim("c-"+name, "1Gi")
				cl.Spec.VolumeName, cl.Status.Phase = name, v1.ClaimBound
				c.Make(cl)
				var uid v1.ObjectReference
				c.Server.Locked(func() {
					uid = v1.ObjectReference{Namespace: ns, Name: cl.Name, UID: one[v1.PersistentVolumeClaim](c, ns, cl.Name).UID}
				})
				pv := volume(name, "1Gi")
				pv.Spec.ClaimRef, pv.Status.Phase = &uid, v1.VolumeBound
				c.Make(pv)
			}
			c.Make(userOf("pa", "c-a", "n1"), userOf("pb", "c-b", "n2"))
		},
		Steps: []func(c *Case){
			dropPod("pa"), func(c *Case) { c.Make(userOf("pa2", "c-a", "n2")) }, dropPod("pb"), func(c *Case) { c.Make(userOf("pb2", "c-b", "n2")) }, dropPod("pa2"),
			func(c *Case) { c.Make(userOf("pa3", "c-a", "n3")) }, func(c *Case) { c.Make(userOf("pa4", "c-a", "n3")) }, dropPod("pa3"),
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind != "VolumeAttachment" || e.Actor != "attachdetach-controller" {
				return
			}
			a := typed[storagev1.VolumeAttachment](e.Object)
			if e.Old == nil {
				for _, other := range all[storagev1.VolumeAttachment](c) {
					if other.UID != a.UID && *other.Spec.Source.PersistentVolumeName == *a.Spec.Source.PersistentVolumeName {
						c.Wrong("volume %s is to be attached to %s while it is to %s", *a.Spec.Source.PersistentVolumeName, a.Spec.NodeName, other.Spec.NodeName)
					}
				}
				return
			}
			if n := one[v1.Node](c, "", a.Spec.NodeName); n != nil && ready(n) && e.Old.GetDeletionTimestamp() == nil && slices.Contains(n.Status.VolumesInUse, inUse(*a.Spec.Source.PersistentVolumeName)) {
				c.Wrong("volume %s is detached from %s, where it is mounted", *a.Spec.Source.PersistentVolumeName, n.Name)
			}
		},
		Done: func(c *Case) error {
			var have []string
			for _, a := range all[storagev1.VolumeAttachment](c) {
				have = append(have, *a.Spec.Source.PersistentVolumeName+" "+a.Spec.NodeName)
				if a.DeletionTimestamp != nil || !a.Status.Attached {
					return fmt.Errorf("attachment %s is not settled", a.Name)
				}
			}
			slices.Sort(have)
			told := 0
			for _, n := range all[v1.Node](c) {
				told += len(n.Status.VolumesAttached)
			}
			return inOrder(missing("attachments", have, []string{"a n3", "b n2"}), missing("status.volumesAttached of all nodes", told, 2))
		},
	}
}

func growing() World {
	return World{
		Begin: func(c *Case) {
			pv, cl := volume("v", "1Gi"), claim("c", "1Gi")
			cl.Spec.VolumeName, cl.Status.Phase, cl.Status.Capacity = "v", v1.ClaimBound, pv.Spec.Capacity
			c.Make(pv, cl)
		},
		Steps: []func(c *Case){func(c *Case) {
			edit[v1.PersistentVolumeClaim](c, "user", ns, "c", func(cl *v1.PersistentVolumeClaim) { cl.Spec.Resources.Requests[v1.ResourceStorage] = quantity("2Gi") })
		}},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor == "expand-controller" {
				c.Wrong("%s %s is written", e.Kind.Kind, e.Object.GetName())
			}
		},
	}
}

func deviceClaims() World {
	pod := func(name string) *v1.Pod {
		p := &v1.Pod{ObjectMeta: meta(name), Spec: template("x").Spec}
		p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: ptr.To("t")}, {Name: "shared", ResourceClaimName: ptr.To("shared")}}
		return p
	}
	spec := resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu"}}}}}
	reserve := func(name string) func(c *Case) {
		return func(c *Case) {
			var p *v1.Pod
			c.Server.Locked(func() { p = one[v1.Pod](c, ns, name) })
			if p == nil {
				return
			}
			edit[resourcev1.ResourceClaim](c, "scheduler", ns, "shared", func(o *resourcev1.ResourceClaim) {
				o.Status.Allocation = &resourcev1.AllocationResult{}
				o.Status.ReservedFor = append(o.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: p.Name, UID: p.UID})
			})
		}
	}
	return World{
		With: []string{"garbage-collector-controller"},
		Begin: func(c *Case) {
			c.makeNodes(2)
			c.Make(&resourcev1.ResourceClaimTemplate{ObjectMeta: meta("t"), Spec: resourcev1.ResourceClaimTemplateSpec{Spec: spec}}, &resourcev1.ResourceClaim{ObjectMeta: meta("shared"), Spec: spec}, pod("a"), pod("b"))
		},
		Steps: []func(c *Case){
			reserve("a"), func(c *Case) { c.Make(pod("c")) }, reserve("b"), dropPod("a"), func(c *Case) { _, _ = c.Server.Create("user", toObject(pod("a"))) }, dropPod("b"),
			func(c *Case) { c.Make(pod("d")) },
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind != "ResourceClaim" || e.Actor != "resource-claim-controller" {
				return
			}
			if e.Old == nil {
				mine := 0
				for _, o := range all[resourcev1.ResourceClaim](c) {
					if controllerUID(o) == controllerUID(e.Object) && o.DeletionTimestamp == nil {
						mine++
					}
				}
				if mine > 1 {
					c.Wrong("pod %s gets a second claim %s", metav1.GetControllerOf(e.Object).Name, e.Object.GetName())
				}
				return
			}
			before, after := typed[resourcev1.ResourceClaim](e.Old), typed[resourcev1.ResourceClaim](e.Object)
			for _, r := range before.Status.ReservedFor {
				if p := one[v1.Pod](c, ns, r.Name); p != nil && p.UID == r.UID && !finished(p) && !slices.Contains(after.Status.ReservedFor, r) {
					c.Wrong("claim %s is taken from pod %s, which runs", after.Name, p.Name)
				}
			}
		},
		Done: func(c *Case) error {
			for _, p := range all[v1.Pod](c) {
				if p.DeletionTimestamp != nil {
					return fmt.Errorf("pod %s is still there", p.Name)
				}
				if len(p.Status.ResourceClaimStatuses) != 1 {
					return fmt.Errorf("pod %s has the claims %v", p.Name, p.Status.ResourceClaimStatuses)
				}
				if o := one[resourcev1.ResourceClaim](c, ns, *p.Status.ResourceClaimStatuses[0].ResourceClaimName); o == nil || controllerUID(o) != p.UID {
					return fmt.Errorf("pod %s has no claim of its own", p.Name)
				}
			}
			for _, o := range all[resourcev1.ResourceClaim](c) {
				for _, r := range o.Status.ReservedFor {
					if p := one[v1.Pod](c, ns, r.Name); p == nil || p.UID != r.UID {
						return fmt.Errorf("claim %s is reserved for pod %s, which is gone", o.Name, r.Name)
					}
				}
			}
			return missing("claims", len(all[resourcev1.ResourceClaim](c)), 1+len(all[v1.Pod](c)))
		},
	}
}

func taintedDevices() World {
	slice := func(generation int64, tainted ...string) *resourcev1.ResourceSlice {
		now := metav1.Now()
		o := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: resourcev1.ResourceSliceSpec{
			Driver: "gpus.example.com", Pool: resourcev1.ResourcePool{Name: "pool", Generation: generation, ResourceSliceCount: 1},
		}}
		for _, name := range []string{"a", "b", "c"} {
			d := resourcev1.Device{Name: name}
			if slices.Contains(tainted, name) {
				d.Taints = []resourcev1.DeviceTaint{{Key: "broken", Effect: resourcev1.DeviceTaintEffectNoExecute, TimeAdded: &now}}
			}
			o.Spec.Devices = append(o.Spec.Devices, d)
		}
		return o
	}
	set := func(tainted ...string) func(c *Case) {
		return func(c *Case) {
			edit[resourcev1.ResourceSlice](c, "user", "", "s", func(o *resourcev1.ResourceSlice) { o.Spec = slice(1, tainted...).Spec })
		}
	}
	return World{
		Begin: func(c *Case) {
			c.makeNodes(2)
			c.Make(slice(1))
			for _, name := range []string{"a", "b", "c"} {
				p := &v1.Pod{ObjectMeta: meta(name), Spec: template("x").Spec}
				p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: ptr.To("c-" + name)}}
				c.Make(p)
				uid := p.UID
				c.Server.Locked(func() { uid = one[v1.Pod](c, ns, name).UID })
				c.Make(&resourcev1.ResourceClaim{ObjectMeta: meta("c-" + name), Status: resourcev1.ResourceClaimStatus{
					Allocation:  &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{{Request: "r", Driver: "gpus.example.com", Pool: "pool", Device: name}}}},
					ReservedFor: []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: name, UID: uid}},
				}})
			}
		},
		Steps: []func(c *Case){set("a"), set("a", "c"), set("a"), set("a")},
		Check: func(c *Case, e memapi.Event) {
			if p := condemned(e, "device-taint-eviction-controller"); p != nil && p.Name == "b" {
				c.Wrong("pod b is evicted, whose device is sound")
			}
		},
		Done: func(c *Case) error {
			if one[v1.Pod](c, ns, "a") != nil {
				return fmt.Errorf("pod a stays on a broken device")
			}
			return missing("pod b", one[v1.Pod](c, ns, "b") != nil, true)
		},
	}
}

// migrations: a migration has succeeded when every object that was there when it began has been written since.
func migrations() World {
	migrate := func(name, resource string) *migrationv1.StorageVersionMigration {
		m := &migrationv1.StorageVersionMigration{ObjectMeta: metav1.ObjectMeta{Name: name}}
		m.Spec.Resource.Resource = resource
		return m
	}
	rewritten := map[types.UID]bool{}
	return World{
		Begin: func(c *Case) {
			c.Server.Unchanged = func(_ string, k memapi.Kind, o *memapi.Object) {
				if k.Kind == "ConfigMap" {
					rewritten[o.GetUID()] = true
				}
			}
			for i := range 20 {
				c.Make(&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("m%d", i)}, Data: map[string]string{"a": "b"}})
			}
		},
		Steps: []func(c *Case){
			func(c *Case) { c.Make(migrate("all", "configmaps"), migrate("none", "gadgets")) },
			func(c *Case) {
				edit[v1.ConfigMap](c, "user", ns, "m3", func(m *v1.ConfigMap) { m.Data["a"] = "c" })
				remove[v1.ConfigMap](c, ns, "m4", "")
			},
		},
		Check: func(c *Case, e memapi.Event) {
			switch {
			case e.Kind.Kind == "ConfigMap" && e.Actor == "user":
				rewritten[e.Object.GetUID()] = true
			case e.Kind.Kind == "ConfigMap" && e.Actor != "setup":
				c.Wrong("ConfigMap %s is changed by its migration", e.Object.GetName())
			case e.Kind.Kind == "StorageVersionMigration" && apimeta.IsStatusConditionTrue(typed[migrationv1.StorageVersionMigration](e.Object).Status.Conditions, string(migrationv1.MigrationSucceeded)):
				for _, m := range all[v1.ConfigMap](c) {
					if !rewritten[m.UID] {
						c.Wrong("the migration %s ends, and ConfigMap %s was not rewritten", e.Object.GetName(), m.Name)
					}
				}
			}
		},
		Done: func(c *Case) error {
			for name, kind := range map[string]migrationv1.MigrationConditionType{"all": migrationv1.MigrationSucceeded, "none": migrationv1.MigrationFailed} {
				m := one[migrationv1.StorageVersionMigration](c, "", name)
				if m == nil || !apimeta.IsStatusConditionTrue(m.Status.Conditions, string(kind)) {
					return fmt.Errorf("migration %s is not said to have %s", name, kind)
				}
			}
			return nil
		},
	}
}

func storedVersions() World {
	lease := func(server string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: server, Labels: map[string]string{"apiserver.kubernetes.io/identity": "kube-apiserver"}}}
	}
	of := func(name string, servers ...string) *internalv1alpha1.StorageVersion {
		v := &internalv1alpha1.StorageVersion{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, s := range servers {
			v.Status.StorageVersions = append(v.Status.StorageVersions, internalv1alpha1.ServerStorageVersion{APIServerID: s, EncodingVersion: "v1", DecodableVersions: []string{"v1"}})
		}
		return v
	}
	drop := func(server string) func(c *Case) {
		return func(c *Case) { remove[coordinationv1.Lease](c, metav1.NamespaceSystem, server, "") }
	}
	return World{
		Begin: func(c *Case) {
			c.Make(lease("s1"), lease("s2"), lease("s3"), of("apps.deployments", "s1", "s2", "s3"), of("batch.jobs", "s2"), of("x.gone", "s0"))
		},
		Steps: []func(c *Case){drop("s2"), func(c *Case) {
			c.Make(lease("s4"), of("core.pods", "s3", "s4"))
			edit[internalv1alpha1.StorageVersion](c, "user", "", "apps.deployments", func(v *internalv1alpha1.StorageVersion) {
				v.Status.StorageVersions = append(v.Status.StorageVersions, of("", "s4").Status.StorageVersions...)
			})
		}, drop("s3")},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind != "StorageVersion" || e.Old == nil || e.Actor == "user" {
				return
			}
			left := map[string]bool{}
			if e.Type != "DELETED" {
				for _, s := range typed[internalv1alpha1.StorageVersion](e.Object).Status.StorageVersions {
					left[s.APIServerID] = true
				}
			}
			for _, s := range typed[internalv1alpha1.StorageVersion](e.Old).Status.StorageVersions {
				if !left[s.APIServerID] && one[coordinationv1.Lease](c, metav1.NamespaceSystem, s.APIServerID) != nil {
					c.Wrong("%s loses the version of server %s, which lives", e.Object.GetName(), s.APIServerID)
				}
			}
		},
		Done: func(c *Case) error {
			have := map[string][]string{}
			for _, v := range all[internalv1alpha1.StorageVersion](c) {
				for _, s := range v.Status.StorageVersions {
					have[v.Name] = append(have[v.Name], s.APIServerID)
				}
			}
			return missing("servers", have, map[string][]string{"apps.deployments": {"s1", "s4"}, "core.pods": {"s4"}})
		},
	}
}

// labelledVolumes: pods of one claim with two labels are told of each other, by events alone.
func labelledVolumes() World {
	pod := func(name, claim, level string) *v1.Pod {
		p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: template("x").Spec}
		p.Spec.SecurityContext = &v1.PodSecurityContext{SELinuxOptions: &v1.SELinuxOptions{Level: level}}
		p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
		p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "data", MountPath: "/data"}}
		return p
	}
	bound := func(name string) (*v1.PersistentVolumeClaim, *v1.PersistentVolume) {
		cl, pv := claim(name, "1Gi"), volume("pv-"+name, "1Gi")
		cl.Spec.VolumeName = pv.Name
		pv.Spec.PersistentVolumeSource = v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: "disks.example.com", VolumeHandle: name}}
		pv.Spec.ClaimRef = &v1.ObjectReference{Namespace: ns, Name: name}
		cl.Status.Phase, pv.Status.Phase = v1.ClaimBound, v1.VolumeBound
		return cl, pv
	}
	told := map[string]bool{}
	return World{
		Begin: func(c *Case) {
			c.Server.Told = func(o *memapi.Object) {
				name, _, _ := unstructured.NestedString(o.Object, "involvedObject", "name")
				told[name] = true
			}
			c.makeNodes(2)
			shared, one := bound("shared")
			alike, two := bound("alike")
			c.Make(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "disks.example.com"}, Spec: storagev1.CSIDriverSpec{SELinuxMount: ptr.To(true)}})
			c.Make(shared, one, alike, two, pod("a", "shared", "s0:c1"), pod("c", "alike", "s0:c1"))
		},
		Steps: []func(c *Case){func(c *Case) { c.Make(pod("d", "alike", "s0:c1")) }, func(c *Case) { c.Make(pod("b", "shared", "s0:c2")) }},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor == "selinux-warning-controller" || e.Actor == "selinux_warning" {
				c.Wrong("%s writes %s %s", e.Actor, e.Kind.Kind, e.Object.GetName())
			}
		},
		Done: func(*Case) error { return missing("pods that were told", fmt.Sprint(told), "map[a:true b:true]") },
	}
}
