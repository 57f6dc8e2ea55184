// Package replicaset keeps the number of pods of each ReplicaSet at spec.replicas.
package replicaset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/cmd/kube-controller-manager/controllers/replicas"
	"pilotis.dev/pkg/reconcile"
)

// New makes the controller.
func New(sets appsinformers.ReplicaSetInformer, podInformer coreinformers.PodInformer, client kubernetes.Interface, recorder record.EventRecorder, o replicas.Options) (*reconcile.Controller, error) {
	family, err := ownership.NewView[*appsv1.ReplicaSet](sets.Informer())
	if err != nil {
		return nil, err
	}
	lister := sets.Lister()
	kind := replicas.Kind{
		APIVersion: appsv1.SchemeGroupVersion.String(), Name: "ReplicaSet", Informer: sets.Informer(),
		Get: func(key reconcile.Key) (*replicas.Set, error) {
			rs, err := lister.ReplicaSets(key.Namespace).Get(key.Name)
			if err != nil {
				return nil, err
			}
			return setOf(rs)
		},
		List: func(namespace string) ([]*replicas.Set, error) {
			all, err := lister.ReplicaSets(namespace).List(labels.Everything())
			if err != nil {
				return nil, err
			}
			var list []*replicas.Set
			for _, rs := range all {
				if set, err := setOf(rs); err == nil {
					list = append(list, set)
				}
			}
			return list, nil
		},
		Live: func(ctx context.Context, namespace, name string, o metav1.GetOptions) (metav1.Object, error) {
			return client.AppsV1().ReplicaSets(namespace).Get(ctx, name, o)
		},
		WriteStatus: func(ctx context.Context, set *replicas.Set, status appsv1.ReplicaSetStatus) (metav1.Object, error) {
			rs := set.Object.(*appsv1.ReplicaSet).DeepCopy()
			rs.Status = status
			return client.AppsV1().ReplicaSets(rs.Namespace).UpdateStatus(ctx, rs, metav1.UpdateOptions{})
		},
		Family: func(set *replicas.Set) []types.UID {
			ref := metav1.GetControllerOfNoCopy(set.Meta)
			if ref == nil {
				return []types.UID{set.Meta.GetUID()}
			}
			var uids []types.UID
			for _, rs := range family.Of(ref.UID) {
				uids = append(uids, rs.UID)
			}
			return uids
		},
	}
	return replicas.New("replicaset", kind, podInformer.Informer(), client, recorder, o)
}

func setOf(rs *appsv1.ReplicaSet) (*replicas.Set, error) {
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("ReplicaSet %s/%s: spec.selector: %w", rs.Namespace, rs.Name, err)
	}
	if selector.Empty() { // validation forbids it; it would match every pod
		selector = labels.Nothing()
	}
	return &replicas.Set{
		Object: rs, Meta: rs, Selector: selector, Replicas: ptr.Deref(rs.Spec.Replicas, 1),
		MinReadySeconds: rs.Spec.MinReadySeconds, Template: &rs.Spec.Template, Status: rs.Status,
	}, nil
}
