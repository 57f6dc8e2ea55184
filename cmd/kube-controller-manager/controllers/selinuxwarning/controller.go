// Package selinuxwarning tells of pods that will not be able to share a volume on one node once its SELinux label is given by a mount
// option (KEP-1710): in events, and in the metric selinux_warning_controller_selinux_volume_conflict. It changes nothing.
package selinuxwarning

import (
	"context"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/claimusers"
	"pilotis.dev/pkg/reconcile"
)

var shown = metrics.NewGaugeVec(&metrics.GaugeOpts{
	Name: "selinux_warning_controller_selinux_volume_conflict", StabilityLevel: metrics.ALPHA,
	Help: "Conflict between two Pods using the same volume.",
}, []string{"property", "pod1_namespace", "pod1_name", "pod1_value", "pod2_namespace", "pod2_name", "pod2_value"})

var register = sync.OnceFunc(func() { legacyregistry.MustRegister(shown) })

type controller struct {
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	drivers storagelisters.CSIDriverLister
	users   claimusers.Users
	events  record.EventRecorder
	// known are the conflicts of each volume that have been told.
	mu    sync.Mutex
	known map[reconcile.Key][]conflict
}

// New makes the controller; its keys are PersistentVolumes.
func New(f informers.SharedInformerFactory, events record.EventRecorder) (*reconcile.Controller, error) {
	register()
	core := f.Core().V1()
	pods, claims, volumes, drivers := core.Pods(), core.PersistentVolumeClaims(), core.PersistentVolumes(), f.Storage().V1().CSIDrivers()
	users, err := claimusers.New(pods.Informer())
	if err != nil {
		return nil, err
	}
	c := &controller{claims: claims.Lister(), volumes: volumes.Lister(), drivers: drivers.Lister(), users: users, events: events, known: map[reconcile.Key][]conflict{}}
	loop := reconcile.New("selinux_warning", reconcile.Func(c.reconcile), reconcile.Options{})
	loop.Watch(volumes.Informer(), reconcile.ObjectKey)
	loop.Watch(claims.Informer(), func(obj any) []reconcile.Key {
		if claim, ok := obj.(*v1.PersistentVolumeClaim); ok && claim.Spec.VolumeName != "" {
			return []reconcile.Key{{Name: claim.Spec.VolumeName}}
		}
		return nil
	})
	loop.Watch(pods.Informer(), func(obj any) []reconcile.Key {
		var keys []reconcile.Key
		for _, key := range claimusers.Claims(obj) {
			if claim, err := c.claims.PersistentVolumeClaims(key.Namespace).Get(key.Name); err == nil && claim.Spec.VolumeName != "" {
				keys = append(keys, reconcile.Key{Name: claim.Spec.VolumeName})
			}
		}
		return keys
	})
	loop.Watch(drivers.Informer(), func(obj any) []reconcile.Key {
		driver, ok := obj.(*storagev1.CSIDriver)
		all, _ := c.volumes.List(labels.Everything()) // from a cache: no error
		var keys []reconcile.Key
		for _, pv := range all {
			if ok && pv.Spec.CSI != nil && pv.Spec.CSI.Driver == driver.Name {
				keys = append(keys, reconcile.KeyOf(pv))
			}
		}
		return keys
	})
	return loop, nil
}

func (c *controller) reconcile(_ context.Context, key reconcile.Key) (reconcile.Result, error) {
	pv, err := c.volumes.Get(key.Name)
	if reconcile.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	var now []conflict
	if err == nil && pv.Spec.ClaimRef != nil {
		now = conflicts(c.uses(pv))
	}
	c.tell(key, now)
	return reconcile.Result{}, nil
}

// uses are those of the pods that have not ended.
func (c *controller) uses(pv *v1.PersistentVolume) []use {
	claim := reconcile.Key{Namespace: pv.Spec.ClaimRef.Namespace, Name: pv.Spec.ClaimRef.Name}
	mounts := pv.Spec.ISCSI != nil || pv.Spec.FC != nil
	if pv.Spec.CSI != nil {
		driver, err := c.drivers.Get(pv.Spec.CSI.Driver)
		mounts = err == nil && ptr.Deref(driver.Spec.SELinuxMount, false)
	}
	var uses []use
	for _, pod := range c.users.Of(claim) {
		if !claimusers.Ended(pod) {
			uses = append(uses, useOf(pod, claim.Name, mounts, claimusers.ClaimName))
		}
	}
	return uses
}

// tell makes events of conflicts that are new, and shows those that there are.
func (c *controller) tell(volume reconcile.Key, now []conflict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.known[volume]
	for _, one := range before {
		if !slices.ContainsFunc(now, one.same) {
			shown.Delete(one.labels())
		}
	}
	for _, one := range now {
		shown.With(one.labels()).Set(1)
		if !slices.ContainsFunc(before, one.same) {
			c.events.Event(one.pod, v1.EventTypeNormal, one.property+"Conflict", one.message())
		}
	}
	if c.known[volume] = now; len(now) == 0 {
		delete(c.known, volume)
	}
}

func (c conflict) same(o conflict) bool {
	return c.property == o.property && c.pod.UID == o.pod.UID && c.other.UID == o.other.UID && c.value == o.value && c.wants == o.wants
}

func (c conflict) labels() map[string]string {
	return map[string]string{
		"property": c.property, "pod1_namespace": c.pod.Namespace, "pod1_name": c.pod.Name, "pod1_value": c.value,
		"pod2_namespace": c.other.Namespace, "pod2_name": c.other.Name, "pod2_value": c.wants,
	}
}
