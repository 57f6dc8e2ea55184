// Package ephemeralvolume makes the claims of generic ephemeral volumes (KEP-1698): a claim for each volume with a template in a pod,
// owned by the pod, so that it goes with it.
package ephemeralvolume

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/claimusers"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

// New makes the controller; its keys are pods.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*reconcile.Controller, error) {
	pods, claims := f.Core().V1().Pods(), f.Core().V1().PersistentVolumeClaims()
	users, err := claimusers.New(pods.Informer())
	if err != nil {
		return nil, err
	}
	var loop *reconcile.Controller
	loop = reconcile.New("ephemeral_volume", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		pod, err := pods.Lister().Pods(key.Namespace).Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		plan, err := Plan(pod, func(name string) *v1.PersistentVolumeClaim {
			claim, err := claims.Lister().PersistentVolumeClaims(pod.Namespace).Get(name)
			if err != nil {
				return nil
			}
			return claim
		})
		if err != nil {
			recorder.Event(pod, v1.EventTypeWarning, "FailedBinding", err.Error())
		}
		for _, claim := range plan {
			made, failed := client.CoreV1().PersistentVolumeClaims(pod.Namespace).Create(ctx, claim, metav1.CreateOptions{})
			switch {
			case apierrors.IsAlreadyExists(failed):
				return reconcile.Result{}, failed // whose it is will be seen in the cache
			case failed != nil:
				failed = fmt.Errorf("create PVC %s: %w", claim.Name, failed)
				recorder.Event(pod, v1.EventTypeWarning, "FailedBinding", failed.Error())
				return reconcile.Result{}, failed
			}
			loop.Wrote(claims.Informer(), key, made)
		}
		return reconcile.Result{}, err
	}), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	loop.Watch(pods.Informer(), func(obj any) []reconcile.Key {
		if pod, ok := obj.(*v1.Pod); ok && hasTemplates(pod) && pod.DeletionTimestamp == nil {
			return []reconcile.Key{reconcile.KeyOf(pod)}
		}
		return nil
	})
	loop.Watch(claims.Informer(), func(obj any) []reconcile.Key {
		claim, ok := obj.(*v1.PersistentVolumeClaim)
		if !ok {
			return nil
		}
		var keys []reconcile.Key
		for _, pod := range users.Of(reconcile.KeyOf(claim)) {
			if hasTemplates(pod) {
				keys = append(keys, reconcile.KeyOf(pod))
			}
		}
		return keys
	})
	return loop, nil
}

func hasTemplates(pod *v1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Ephemeral != nil {
			return true
		}
	}
	return false
}

// Plan gives the claims that the pod lacks. existing looks a claim up by name. The error tells of claims that have the right name
// and belong to something else: the pod cannot run before they are gone.
func Plan(pod *v1.Pod, existing func(name string) *v1.PersistentVolumeClaim) ([]*v1.PersistentVolumeClaim, error) {
	if pod.DeletionTimestamp != nil || claimusers.Ended(pod) {
		return nil, nil
	}
	var missing []*v1.PersistentVolumeClaim
	var fault error
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Ephemeral == nil || v.Ephemeral.VolumeClaimTemplate == nil {
			continue
		}
		name, template := ephemeral.VolumeClaimName(pod, v), v.Ephemeral.VolumeClaimTemplate
		if claim := existing(name); claim != nil {
			if err := ephemeral.VolumeIsForPod(pod, claim); err != nil && fault == nil {
				fault = fmt.Errorf("ephemeral volume %s: %w", v.Name, err)
			}
			continue
		}
		missing = append(missing, &v1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Namespace: pod.Namespace, Labels: template.Labels, Annotations: template.Annotations,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(pod, v1.SchemeGroupVersion.WithKind("Pod"))},
			},
			Spec: template.Spec,
		})
	}
	return missing, fault
}
