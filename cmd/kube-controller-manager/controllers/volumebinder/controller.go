package volumebinder

import (
	"context"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/claimusers"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	// Period is how often what waits (pending claims, volumes that could not be reclaimed) is looked at without an event; 15 s when zero.
	Period time.Duration
	// Provisioning lets provisioners be asked for volumes.
	Provisioning bool
	Clock        clock.WithTicker
	// RemoveAll deletes the directory of a hostPath volume; os.RemoveAll when nil.
	RemoveAll func(path string) error
}

// Controller binds and reclaims.
type Controller struct {
	*reconcile.Controller
	options  Options
	client   kubernetes.Interface
	recorder record.EventRecorder
	claims   corelisters.PersistentVolumeClaimLister
	claimInf cache.SharedIndexInformer
	volInf   cache.SharedIndexInformer
	catalog  *catalog
}

// New makes the controller; its keys are claims, and volumes, which have no namespace.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*Controller, error) {
	if o.Period <= 0 {
		o.Period = 15 * time.Second
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.RemoveAll == nil {
		o.RemoveAll = os.RemoveAll
	}
	core, storage := f.Core().V1(), f.Storage().V1()
	claims, volumes, pods, classes := core.PersistentVolumeClaims(), core.PersistentVolumes(), core.Pods(), storage.StorageClasses()
	users, err := claimusers.New(pods.Informer())
	if err != nil {
		return nil, err
	}
	if err := indexVolumes(volumes.Informer(), claims.Informer()); err != nil {
		return nil, err
	}
	c := &Controller{options: o, client: client, recorder: recorder, claims: claims.Lister(), claimInf: claims.Informer(), volInf: volumes.Informer(), catalog: &catalog{
		claimIndex: claims.Informer().GetIndexer(), volumeIndex: volumes.Informer().GetIndexer(), volumes: volumes.Lister(), classes: classes.Lister(),
		users: users, taken: map[string]types.UID{},
	}}
	const workers = 4 // claims and volumes at once; a burst of claims is bound at the speed of their writes
	c.Controller = reconcile.New("volume_binder", reconcile.Func(c.reconcile), reconcile.Options{Workers: workers, Clock: o.Clock, MaxDelay: o.Period})
	c.Watch(c.claimInf, c.ofClaim)
	c.Watch(c.volInf, c.ofVolume)
	c.Watch(classes.Informer(), c.ofClass)
	c.Watch(pods.Informer(), c.ofPod)
	return c, nil
}

// ofClaim looks at the claim, at the volume whose binding it confirms or whose release its end means, and at others that were meant
// for it.
func (c *Controller) ofClaim(obj any) []reconcile.Key {
	claim, ok := obj.(*v1.PersistentVolumeClaim)
	if !ok {
		return nil
	}
	keys := []reconcile.Key{reconcile.KeyOf(claim)}
	if claim.Spec.VolumeName != "" {
		keys = append(keys, reconcile.Key{Name: claim.Spec.VolumeName})
	}
	for _, pv := range c.catalog.find(byClaimRef, reconcile.KeyOf(claim).String()) {
		keys = append(keys, reconcile.KeyOf(pv))
	}
	return keys
}

// ofVolume looks at the volume, at the claim it is for, and at claims that may take it.
func (c *Controller) ofVolume(obj any) []reconcile.Key {
	pv, ok := obj.(*v1.PersistentVolume)
	if !ok {
		return nil
	}
	keys := []reconcile.Key{{Name: pv.Name}}
	if pv.Spec.ClaimRef != nil {
		return append(keys, claimOf(pv))
	}
	if pv.Status.Phase != v1.VolumeAvailable || pv.DeletionTimestamp != nil {
		return keys
	}
	keys = append(keys, c.catalog.pending(volume.GetPersistentVolumeClass(pv))...)
	if volume.GetPersistentVolumeClass(pv) == "" {
		keys = append(keys, c.catalog.pending(noClass)...)
	}
	return keys
}

func (c *Controller) ofClass(obj any) []reconcile.Key {
	class, ok := obj.(*storagev1.StorageClass)
	if !ok {
		return nil
	}
	keys := c.catalog.pending(class.Name)
	if isDefault(class) {
		keys = append(keys, c.catalog.pending(noClass)...)
	}
	return keys
}

// ofPod looks at the claims that wait for their first consumer: its name is told.
func (c *Controller) ofPod(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok || pod.Spec.NodeName != "" {
		return nil
	}
	var keys []reconcile.Key
	for _, key := range claimusers.Claims(pod) {
		if claim, err := c.claims.PersistentVolumeClaims(key.Namespace).Get(key.Name); err == nil && !metav1.HasAnnotation(claim.ObjectMeta, volume.AnnBindCompleted) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (c *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	if key.Namespace == "" {
		return c.syncVolume(ctx, key)
	}
	return c.syncClaim(ctx, key)
}

func (c *Controller) syncClaim(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	claim, err := c.claims.PersistentVolumeClaims(key.Namespace).Get(key.Name)
	if err != nil {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	plan, err := PlanClaim(claim, c.catalog, c.options.Provisioning)
	if err != nil {
		return reconcile.Result{}, err
	}
	if plan.Phase == v1.ClaimLost && claim.Status.Phase != v1.ClaimLost && claim.Spec.VolumeName != "" {
		// The caches of claims and volumes are apart: ask before saying that data is lost.
		if pv, err := c.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{}); err == nil && pv.Spec.ClaimRef != nil && pv.Spec.ClaimRef.UID == claim.UID {
			plan = ClaimPlan{Bind: pv}
		} else if err != nil && !apierrors.IsNotFound(err) {
			return reconcile.Result{}, err
		}
	}
	if err := c.applyClaim(ctx, claim, plan); err != nil {
		return reconcile.Result{}, err
	}
	if plan.Phase == v1.ClaimPending {
		return reconcile.Result{RequeueAfter: c.options.Period}, nil
	}
	return reconcile.Result{}, nil
}

func (c *Controller) syncVolume(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	c.catalog.settled(key.Name) // a key is held until the cache shows what was written
	pv, err := c.catalog.volumes.Get(key.Name)
	if err != nil {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	claim, err := c.claimFor(ctx, pv)
	if err != nil {
		return reconcile.Result{}, err
	}
	return c.applyVolume(ctx, pv, claim, PlanVolume(pv, claim))
}

// claimFor is the claim that a volume names. The caches of claims and volumes are apart: when the cached claim is not the one that
// was bound, the server is asked before the volume counts as released.
func (c *Controller) claimFor(ctx context.Context, pv *v1.PersistentVolume) (*v1.PersistentVolumeClaim, error) {
	ref := pv.Spec.ClaimRef
	if ref == nil {
		return nil, nil
	}
	claim, err := c.claims.PersistentVolumeClaims(ref.Namespace).Get(ref.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err == nil && (ref.UID == "" || claim.UID == ref.UID) {
		return claim, nil
	}
	if ref.UID == "" || pv.Status.Phase == v1.VolumeReleased || pv.Status.Phase == v1.VolumeFailed {
		return nil, nil
	}
	claim, err = c.client.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil || claim.UID != ref.UID {
		return nil, reconcile.IgnoreNotFound(err)
	}
	return claim, nil
}
