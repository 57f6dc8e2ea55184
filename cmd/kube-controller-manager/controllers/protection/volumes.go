package protection

import (
	"context"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

// NewVolumes makes the controller of PersistentVolumes.
func NewVolumes(f informers.SharedInformerFactory, client kubernetes.Interface, o Options) *reconcile.Controller {
	volumes := f.Core().V1().PersistentVolumes()
	g := &guard[*v1.PersistentVolume]{
		finalizer: "kubernetes.io/pv-protection", informer: volumes.Informer(),
		get: func(key reconcile.Key) (*v1.PersistentVolume, error) { return volumes.Lister().Get(key.Name) },
		update: func(ctx context.Context, pv *v1.PersistentVolume) (*v1.PersistentVolume, error) {
			return client.CoreV1().PersistentVolumes().Update(ctx, pv, metav1.UpdateOptions{})
		},
		inUse: func(_ context.Context, pv *v1.PersistentVolume) (bool, error) {
			return pv.Status.Phase == v1.VolumeBound, nil // the binder keeps the phase; an older one makes the update a conflict
		},
	}
	g.Controller = reconcile.New("pvprotection", reconcile.Func(g.reconcile), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	g.Watch(g.informer, reconcile.ObjectKey)
	return g.Controller
}
