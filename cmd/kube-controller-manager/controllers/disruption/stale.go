package disruption

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
	"pilotis.dev/pkg/reconcile"
)

// templateOf returns the pod template and the namespace of a set.
func templateOf(obj any) (*v1.PodTemplateSpec, string) {
	switch o := obj.(type) {
	case *appsv1.ReplicaSet:
		return &o.Spec.Template, o.Namespace
	case *appsv1.Deployment:
		return &o.Spec.Template, o.Namespace
	case *appsv1.StatefulSet:
		return &o.Spec.Template, o.Namespace
	case *v1.ReplicationController:
		return o.Spec.Template, o.Namespace
	}
	return nil, ""
}

// announced returns the condition that announces the disruption of a pod that still lives on undisturbed. A kubelet that ends a pod
// itself deletes nothing, and may take any time.
func announced(pod *v1.Pod) *v1.PodCondition {
	c := pods.Condition(pod, v1.DisruptionTarget)
	if c == nil || c.Status != v1.ConditionTrue || c.Reason == v1.PodReasonTerminationByKubelet || pod.DeletionTimestamp != nil || pods.Finished(pod) {
		return nil
	}
	return c
}

// clearStale sets the condition DisruptionTarget to false when the deletion it announces did not come (KEP-3329).
func (c *Controller) clearStale(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, err := c.podList.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	condition := announced(pod)
	if condition == nil {
		return reconcile.Result{}, nil
	}
	if left := condition.LastTransitionTime.Add(patience).Sub(c.clock.Now()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	fresh := pod.DeepCopy()
	condition = pods.Condition(fresh, v1.DisruptionTarget)
	condition.Status, condition.LastTransitionTime = v1.ConditionFalse, metav1.NewTime(c.clock.Now())
	written, err := c.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	c.stale.Wrote(c.podInf, key, written)
	return reconcile.Result{}, nil
}
