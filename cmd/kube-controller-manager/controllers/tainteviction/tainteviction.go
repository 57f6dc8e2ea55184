// Package tainteviction deletes pods from nodes whose NoExecute taints they do not tolerate, or not for longer.
package tainteviction

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
	"pilotis.dev/pkg/reconcile"
)

// New returns the controller; its keys are pods.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, c clock.WithTicker) *reconcile.Controller {
	informer, nodes := f.Core().V1().Pods(), f.Core().V1().Nodes()
	podsOn := pods.ByNode(informer.Informer())
	seen := &sightings{since: map[types.NamespacedName]sighting{}, scheduled: map[types.NamespacedName]types.UID{}}
	r := reconcile.New("taint_eviction_controller", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		pod, err := informer.Lister().Pods(key.Namespace).Get(key.Name)
		if err != nil || pod.Spec.NodeName == "" || pod.DeletionTimestamp != nil || ended(pod) {
			seen.forget(key)
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		node, err := nodes.Lister().Get(pod.Spec.NodeName)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		now := c.Now()
		left, evict := Stay(pod, node.Spec.Taints, now, seen.note(key, pod.UID, node.Spec.Taints, now))
		switch {
		case !evict:
			if seen.cancel(key, pod.UID) {
				recorder.Event(pod, v1.EventTypeNormal, "TaintManagerEviction", "Cancelling deletion of Pod "+key.String())
			}
			return reconcile.Result{}, nil
		case left > 0:
			seen.schedule(key, pod.UID)
			return reconcile.Result{RequeueAfter: left}, nil
		}
		recorder.Event(pod, v1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod "+key.String())
		patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"status":{"conditions":[{"type":"DisruptionTarget","status":"True","reason":"DeletionByTaintManager","message":"Taint manager: deleting due to NoExecute taint","lastTransitionTime":%q}]}}`,
			pod.UID, c.Now().UTC().Format(time.RFC3339))
		if _, err := client.CoreV1().Pods(key.Namespace).Patch(ctx, key.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		return reconcile.Result{}, reconcile.IgnoreNotFound(client.CoreV1().Pods(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}))
	}), reconcile.Options{Workers: 8, Clock: c})
	r.Watch(informer.Informer(), func(obj any) []reconcile.Key {
		if p, ok := obj.(*v1.Pod); ok && p.Spec.NodeName != "" {
			return []reconcile.Key{{Namespace: p.Namespace, Name: p.Name}}
		}
		return nil
	})
	r.Watch(nodes.Informer(), func(obj any) []reconcile.Key {
		n, ok := obj.(*v1.Node)
		if !ok || !hasNoExecute(n.Spec.Taints) {
			return nil // what an update took away is asked about, too
		}
		var keys []reconcile.Key
		for _, p := range podsOn(n.Name) {
			keys = append(keys, reconcile.Key{Namespace: p.Namespace, Name: p.Name})
		}
		return keys
	})
	return r
}

func ended(p *v1.Pod) bool {
	return p.Status.Phase == v1.PodSucceeded || p.Status.Phase == v1.PodFailed
}

func hasNoExecute(taints []v1.Taint) bool {
	for _, t := range taints {
		if t.Effect == v1.TaintEffectNoExecute {
			return true
		}
	}
	return false
}

// Stay is how long the pod may still stay on a node with the taints: the shortest of its tolerations, counted from when
// the taint came, or was first seen where it does not say (kubectl taint sets no timeAdded); not at all when it does
// not tolerate one; evict is false when it may stay for good.
func Stay(pod *v1.Pod, taints []v1.Taint, now time.Time, firstSeen func(*v1.Taint) time.Time) (left time.Duration, evict bool) {
	left = time.Duration(1<<63 - 1)
	for i := range taints {
		t := &taints[i]
		if t.Effect != v1.TaintEffectNoExecute {
			continue
		}
		tolerated, limit := tolerance(pod, t)
		if !tolerated {
			return 0, true
		}
		if limit == nil {
			continue
		}
		evict = true
		since := firstSeen(t)
		if t.TimeAdded != nil {
			since = t.TimeAdded.Time
		}
		left = min(left, max(0, since.Add(time.Duration(*limit)*time.Second).Sub(now)))
	}
	return left, evict
}

// tolerance reports whether the pod tolerates the taint, and for how many seconds at most; nil: for ever. The first
// toleration that matches decides.
func tolerance(pod *v1.Pod, taint *v1.Taint) (bool, *int64) {
	for i := range pod.Spec.Tolerations {
		if t := &pod.Spec.Tolerations[i]; t.ToleratesTaint(klog.Background(), taint, true) {
			return true, t.TolerationSeconds
		}
	}
	return false, nil
}
