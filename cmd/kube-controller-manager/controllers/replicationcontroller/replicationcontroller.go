// Package replicationcontroller keeps the number of pods of each ReplicationController at spec.replicas.
package replicationcontroller

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/replicas"
	"pilotis.dev/pkg/reconcile"
)

// New makes the controller.
func New(controllers coreinformers.ReplicationControllerInformer, podInformer coreinformers.PodInformer, client kubernetes.Interface, recorder record.EventRecorder, o replicas.Options) (*reconcile.Controller, error) {
	lister := controllers.Lister()
	kind := replicas.Kind{
		APIVersion: "v1", Name: "ReplicationController", HidesTerminating: true, Informer: controllers.Informer(),
		Get: func(key reconcile.Key) (*replicas.Set, error) {
			rc, err := lister.ReplicationControllers(key.Namespace).Get(key.Name)
			if err != nil {
				return nil, err
			}
			return setOf(rc), nil
		},
		List: func(namespace string) ([]*replicas.Set, error) {
			all, err := lister.ReplicationControllers(namespace).List(labels.Everything())
			if err != nil {
				return nil, err
			}
			list := make([]*replicas.Set, 0, len(all))
			for _, rc := range all {
				list = append(list, setOf(rc))
			}
			return list, nil
		},
		Live: func(ctx context.Context, namespace, name string, o metav1.GetOptions) (metav1.Object, error) {
			return client.CoreV1().ReplicationControllers(namespace).Get(ctx, name, o)
		},
		WriteStatus: func(ctx context.Context, set *replicas.Set, status appsv1.ReplicaSetStatus) (metav1.Object, error) {
			rc := set.Object.(*v1.ReplicationController).DeepCopy()
			rc.Status = fromSetStatus(status)
			return client.CoreV1().ReplicationControllers(rc.Namespace).UpdateStatus(ctx, rc, metav1.UpdateOptions{})
		},
		Family: func(set *replicas.Set) []types.UID { return []types.UID{set.Meta.GetUID()} },
	}
	return replicas.New("replicationmanager", kind, podInformer.Informer(), client, recorder, o)
}

func setOf(rc *v1.ReplicationController) *replicas.Set {
	selector := labels.SelectorFromSet(rc.Spec.Selector)
	template := rc.Spec.Template
	if template == nil { // validation forbids it
		template = &v1.PodTemplateSpec{}
	}
	if selector.Empty() {
		selector = labels.Nothing()
	}
	return &replicas.Set{
		Object: rc, Meta: rc, Selector: selector, Replicas: ptr.Deref(rc.Spec.Replicas, 1),
		MinReadySeconds: rc.Spec.MinReadySeconds, Template: template, Status: toSetStatus(rc.Status),
	}
}

// toSetStatus and fromSetStatus translate between the two kinds, which differ in names only.
func toSetStatus(s v1.ReplicationControllerStatus) appsv1.ReplicaSetStatus {
	status := appsv1.ReplicaSetStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas, ReadyReplicas: s.ReadyReplicas,
		AvailableReplicas: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
	for _, c := range s.Conditions {
		status.Conditions = append(status.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return status
}

func fromSetStatus(s appsv1.ReplicaSetStatus) v1.ReplicationControllerStatus {
	status := v1.ReplicationControllerStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas, ReadyReplicas: s.ReadyReplicas,
		AvailableReplicas: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
	for _, c := range s.Conditions {
		status.Conditions = append(status.Conditions, v1.ReplicationControllerCondition{
			Type: v1.ReplicationControllerConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return status
}
