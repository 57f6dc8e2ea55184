package protection

import (
	"context"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/claimusers"
	"pilotis.dev/pkg/reconcile"
)

// NewClaims makes the controller of PersistentVolumeClaims.
func NewClaims(f informers.SharedInformerFactory, client kubernetes.Interface, o Options) (*reconcile.Controller, error) {
	claims, pods := f.Core().V1().PersistentVolumeClaims(), f.Core().V1().Pods()
	users, err := claimusers.New(pods.Informer())
	if err != nil {
		return nil, err
	}
	live := newLivePods(client, holds, func(pod *v1.Pod) bool { return pod.Spec.NodeName != "" && len(claimusers.Claims(pod)) > 0 })
	g := &guard[*v1.PersistentVolumeClaim]{
		finalizer: "kubernetes.io/pvc-protection", informer: claims.Informer(),
		get: func(key reconcile.Key) (*v1.PersistentVolumeClaim, error) {
			claim, err := claims.Lister().PersistentVolumeClaims(key.Namespace).Get(key.Name)
			if err != nil {
				live.forget(key)
			}
			return claim, err
		},
		update: func(ctx context.Context, c *v1.PersistentVolumeClaim) (*v1.PersistentVolumeClaim, error) {
			return client.CoreV1().PersistentVolumeClaims(c.Namespace).Update(ctx, c, metav1.UpdateOptions{})
		},
		inUse: func(ctx context.Context, c *v1.PersistentVolumeClaim) (bool, error) {
			for _, pod := range users.Of(reconcile.KeyOf(c)) {
				if holds(pod, c) {
					return true, nil
				}
			}
			return live.use(ctx, c)
		},
	}
	g.Controller = reconcile.New("pvcprotection", reconcile.Func(g.reconcile), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	g.Watch(g.informer, func(obj any) []reconcile.Key {
		if c, ok := obj.(*v1.PersistentVolumeClaim); ok && c.DeletionTimestamp != nil {
			live.note(c)
		}
		return reconcile.ObjectKey(obj)
	})
	g.Watch(pods.Informer(), claimusers.Claims)
	return g.Controller, nil
}

// holds tells whether a pod uses the claim. A pod without a node cannot begin to: neither the scheduler nor the kubelet take a
// claim that is being deleted.
func holds(pod *v1.Pod, c *v1.PersistentVolumeClaim) bool {
	if pod.Spec.NodeName == "" {
		return false
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if claimusers.ClaimName(pod, v) != c.Name {
			continue
		}
		if v.PersistentVolumeClaim != nil || !shutDown(pod) && ephemeral.VolumeIsForPod(pod, c) == nil {
			return true
		}
	}
	return false
}

// shutDown tells whether the node is done with a pod that waits for its finalizers, which may be the deletion of this very claim.
func shutDown(pod *v1.Pod) bool {
	return pod.DeletionTimestamp != nil && ptr.Deref(pod.DeletionGracePeriodSeconds, -1) == 0
}
