package volumebinder

import (
	"cmp"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/storage/volume"

	"pilotis.dev/cmd/kube-controller-manager/controllers/claimusers"
	"pilotis.dev/pkg/reconcile"
)

const (
	freeByClass    = "volumebinder/class"
	byClaimRef     = "volumebinder/claim"
	pendingByClass = "volumebinder/pending"
	// noClass stands in the indexes for claims that name no class; "" is the class of those that want none.
	noClass = "\x00none"
)

// catalog is the View of the planners over the caches.
type catalog struct {
	claimIndex  cache.Indexer
	volumeIndex cache.Indexer
	volumes     corelisters.PersistentVolumeLister
	classes     storagelisters.StorageClassLister
	users       claimusers.Users

	mu sync.Mutex
	// taken are volumes that this controller is giving to claims, by name, until the cache shows it.
	taken map[string]types.UID
}

func indexVolumes(volumes, claims cache.SharedIndexInformer) error {
	err := volumes.AddIndexers(cache.Indexers{
		freeByClass: func(obj any) ([]string, error) {
			if pv, ok := obj.(*v1.PersistentVolume); ok && pv.Spec.ClaimRef == nil {
				return []string{volume.GetPersistentVolumeClass(pv)}, nil
			}
			return nil, nil
		},
		byClaimRef: func(obj any) ([]string, error) {
			if pv, ok := obj.(*v1.PersistentVolume); ok && pv.Spec.ClaimRef != nil {
				return []string{claimOf(pv).String()}, nil
			}
			return nil, nil
		},
	})
	if err != nil {
		return err
	}
	return claims.AddIndexers(cache.Indexers{pendingByClass: func(obj any) ([]string, error) {
		claim, ok := obj.(*v1.PersistentVolumeClaim)
		switch {
		case !ok || metav1.HasAnnotation(claim.ObjectMeta, volume.AnnBindCompleted):
			return nil, nil
		case !volume.PersistentVolumeClaimHasClass(claim):
			return []string{noClass}, nil
		}
		return []string{volume.GetPersistentVolumeClaimClass(claim)}, nil
	}})
}

// claimOf is the key of the claim that a volume with a claimRef names.
func claimOf(pv *v1.PersistentVolume) reconcile.Key {
	return reconcile.Key{Namespace: pv.Spec.ClaimRef.Namespace, Name: pv.Spec.ClaimRef.Name}
}

// Volume implements View.
func (c *catalog) Volume(name string) *v1.PersistentVolume {
	pv, err := c.volumes.Get(name)
	if err != nil {
		return nil
	}
	return pv
}

// Class implements View.
func (c *catalog) Class(name string) *storagev1.StorageClass {
	class, err := c.classes.Get(name)
	if err != nil {
		return nil
	}
	return class
}

// DefaultClass implements View: of several defaults the youngest, then the first by name.
func (c *catalog) DefaultClass() *storagev1.StorageClass {
	all, err := c.classes.List(labels.Everything())
	if err != nil {
		return nil
	}
	var chosen *storagev1.StorageClass
	for _, class := range all {
		if !isDefault(class) {
			continue
		}
		if chosen == nil || cmp.Or(class.CreationTimestamp.Compare(chosen.CreationTimestamp.Time), cmp.Compare(chosen.Name, class.Name)) > 0 {
			chosen = class
		}
	}
	return chosen
}

func isDefault(class *storagev1.StorageClass) bool {
	return class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" || class.Annotations["storageclass.beta.kubernetes.io/is-default-class"] == "true"
}

// Waiting implements View.
func (c *catalog) Waiting(claim *v1.PersistentVolumeClaim) []string {
	var names []string
	for _, pod := range c.users.Of(reconcile.KeyOf(claim)) {
		if pod.Spec.NodeName == "" {
			names = append(names, pod.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Match implements View. Of the volumes with the claim's access modes those with the fewest modes more are preferred, and of these
// the smallest. What Match returns is kept from other claims until settled is called for it.
func (c *catalog) Match(claim *v1.PersistentVolumeClaim, delayed bool) (*v1.PersistentVolume, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.find(byClaimRef, reconcile.KeyOf(claim).String())
	excluded := map[string]*v1.PersistentVolume{}
	for name, uid := range c.taken {
		reserved := slices.ContainsFunc(mine, func(pv *v1.PersistentVolume) bool { return pv.Name == name })
		if uid != claim.UID && !reserved {
			excluded[name] = nil
		}
	}
	for _, group := range byModes(append(mine, c.find(freeByClass, volume.GetPersistentVolumeClaimClass(claim))...), claim) {
		pv, err := volume.FindMatchingVolume(claim, group, nil, excluded, delayed, true)
		if err != nil {
			return nil, err
		}
		if pv != nil {
			c.taken[pv.Name] = claim.UID
			return pv, nil
		}
	}
	return nil, nil
}

// settled ends what Match began: the cache shows the binding, or it failed.
func (c *catalog) settled(volume string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.taken, volume)
}

func (c *catalog) find(index, value string) []*v1.PersistentVolume {
	found, err := c.volumeIndex.ByIndex(index, value)
	if err != nil { // only for an unknown index
		return nil
	}
	out := make([]*v1.PersistentVolume, 0, len(found))
	for _, obj := range found {
		if pv, ok := obj.(*v1.PersistentVolume); ok {
			out = append(out, pv)
		}
	}
	return out
}

// byModes groups the volumes that have all access modes of the claim by how many they have.
func byModes(volumes []*v1.PersistentVolume, claim *v1.PersistentVolumeClaim) [][]*v1.PersistentVolume {
	const kinds = 4 // of access modes
	groups := make([][]*v1.PersistentVolume, kinds+1)
	for _, pv := range volumes {
		if volume.CheckAccessModes(claim, pv) {
			n := min(len(pv.Spec.AccessModes), kinds)
			groups[n] = append(groups[n], pv)
		}
	}
	for _, group := range groups {
		slices.SortFunc(group, func(a, b *v1.PersistentVolume) int { return cmp.Compare(a.Name, b.Name) })
	}
	return groups
}

// pending are the claims without a volume that may take one of the class.
func (c *catalog) pending(class string) []reconcile.Key {
	found, err := c.claimIndex.ByIndex(pendingByClass, class)
	if err != nil { // only for an unknown index
		return nil
	}
	var keys []reconcile.Key
	for _, obj := range found {
		keys = append(keys, reconcile.ObjectKey(obj)...)
	}
	return keys
}
