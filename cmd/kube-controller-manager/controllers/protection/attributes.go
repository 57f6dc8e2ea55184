package protection

import (
	"context"
	"slices"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"pilotis.dev/pkg/reconcile"
)

const byAttributes = "protection/volumeattributesclass"

// NewAttributesClasses makes the controller of VolumeAttributesClasses (KEP-3751).
func NewAttributesClasses(f informers.SharedInformerFactory, client kubernetes.Interface, o Options) (*reconcile.Controller, error) {
	classes, claims, volumes := f.Storage().V1().VolumeAttributesClasses(), f.Core().V1().PersistentVolumeClaims().Informer(), f.Core().V1().PersistentVolumes().Informer()
	for _, inf := range []cache.SharedIndexInformer{claims, volumes} {
		if err := inf.AddIndexers(cache.Indexers{byAttributes: func(obj any) ([]string, error) { return attributesOf(obj), nil }}); err != nil {
			return nil, err
		}
	}
	g := &guard[*storagev1.VolumeAttributesClass]{
		finalizer: "kubernetes.io/vac-protection", informer: classes.Informer(),
		get: func(key reconcile.Key) (*storagev1.VolumeAttributesClass, error) {
			return classes.Lister().Get(key.Name)
		},
		update: func(ctx context.Context, c *storagev1.VolumeAttributesClass) (*storagev1.VolumeAttributesClass, error) {
			return client.StorageV1().VolumeAttributesClasses().Update(ctx, c, metav1.UpdateOptions{})
		},
		inUse: func(ctx context.Context, c *storagev1.VolumeAttributesClass) (bool, error) {
			for _, inf := range []cache.SharedIndexInformer{claims, volumes} {
				if found, err := inf.GetIndexer().IndexKeys(byAttributes, c.Name); len(found) > 0 || err != nil {
					return true, err
				}
			}
			return namedAtServer(ctx, client, c.Name)
		},
	}
	g.Controller = reconcile.New("vacprotection", reconcile.Func(g.reconcile), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	g.Watch(g.informer, reconcile.ObjectKey)
	named := func(obj any) []reconcile.Key {
		var keys []reconcile.Key
		for _, name := range attributesOf(obj) {
			keys = append(keys, reconcile.Key{Name: name})
		}
		return keys
	}
	g.Watch(claims, named)
	g.Watch(volumes, named)
	return g.Controller, nil
}

// namedAtServer tells whether a claim or a volume names a class; the caches, which do not show one, may be behind.
func namedAtServer(ctx context.Context, client kubernetes.Interface, class string) (bool, error) {
	claims, err := client.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return true, err
	}
	for i := range claims.Items {
		if slices.Contains(attributesOf(&claims.Items[i]), class) {
			return true, nil
		}
	}
	volumes, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return true, err
	}
	return slices.ContainsFunc(volumes.Items, func(v v1.PersistentVolume) bool { return slices.Contains(attributesOf(&v), class) }), nil
}

// attributesOf are the classes that a claim wants, has, or is on the way to, or that a volume has.
func attributesOf(obj any) []string {
	var names []string
	add := func(name *string) {
		if name != nil && *name != "" {
			names = append(names, *name)
		}
	}
	switch o := obj.(type) {
	case *v1.PersistentVolumeClaim:
		add(o.Spec.VolumeAttributesClassName)
		add(o.Status.CurrentVolumeAttributesClassName)
		if m := o.Status.ModifyVolumeStatus; m != nil {
			add(&m.TargetVolumeAttributesClassName)
		}
	case *v1.PersistentVolume:
		add(o.Spec.VolumeAttributesClassName)
	}
	return names
}
