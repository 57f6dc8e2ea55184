package protection

import (
	"context"
	"slices"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"pilotis.dev/cmd/kube-controller-manager/controllers/claimusers"
	"pilotis.dev/pkg/reconcile"
)

const byGroup = "protection/podgroup"

// NewPodGroups makes the controller of PodGroups (KEP-4671): a group stays until its pods have ended.
func NewPodGroups(f informers.SharedInformerFactory, client kubernetes.Interface, o Options) (*reconcile.Controller, error) {
	groups, pods := f.Scheduling().V1beta1().PodGroups(), f.Core().V1().Pods().Informer()
	if err := pods.AddIndexers(cache.Indexers{byGroup: func(obj any) ([]string, error) {
		var keys []string
		for _, key := range groupOf(obj) {
			keys = append(keys, key.String())
		}
		return keys, nil
	}}); err != nil {
		return nil, err
	}
	live := newLivePods(client, uses, func(pod *v1.Pod) bool { return len(groupOf(pod)) > 0 })
	g := &guard[*schedulingv1beta1.PodGroup]{
		finalizer: "scheduling.k8s.io/podgroup-protection", informer: groups.Informer(),
		get: func(key reconcile.Key) (*schedulingv1beta1.PodGroup, error) {
			group, err := groups.Lister().PodGroups(key.Namespace).Get(key.Name)
			if err != nil {
				live.forget(key)
			}
			return group, err
		},
		update: func(ctx context.Context, group *schedulingv1beta1.PodGroup) (*schedulingv1beta1.PodGroup, error) {
			return client.SchedulingV1beta1().PodGroups(group.Namespace).Update(ctx, group, metav1.UpdateOptions{})
		},
		inUse: func(ctx context.Context, group *schedulingv1beta1.PodGroup) (bool, error) {
			found, err := pods.GetIndexer().ByIndex(byGroup, reconcile.KeyOf(group).String())
			if err != nil {
				return false, err
			}
			for _, obj := range found {
				if pod, ok := obj.(*v1.Pod); ok && uses(pod, group) {
					return true, nil
				}
			}
			return live.use(ctx, group)
		},
	}
	g.Controller = reconcile.New("podgroup_protection", reconcile.Func(g.reconcile), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	g.Watch(g.informer, func(obj any) []reconcile.Key {
		if group, ok := obj.(*schedulingv1beta1.PodGroup); ok && group.DeletionTimestamp != nil {
			live.note(group)
		}
		return reconcile.ObjectKey(obj)
	})
	g.Watch(pods, groupOf)
	return g.Controller, nil
}

// uses tells whether a pod belongs to the group and has not ended.
func uses(pod *v1.Pod, group *schedulingv1beta1.PodGroup) bool {
	return slices.Contains(groupOf(pod), reconcile.KeyOf(group)) && !claimusers.Ended(pod)
}

// groupOf is the group of a pod, if it has one.
func groupOf(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok || pod.Spec.SchedulingGroup == nil || pod.Spec.SchedulingGroup.PodGroupName == nil {
		return nil
	}
	return []reconcile.Key{{Namespace: pod.Namespace, Name: *pod.Spec.SchedulingGroup.PodGroupName}}
}
