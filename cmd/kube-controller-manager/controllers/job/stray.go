package job

import (
	"context"
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"pilotis.dev/pkg/reconcile"
)

func untrackPatch(pod *v1.Pod) []byte {
	return finalizerPatch(map[string]any{"uid": pod.UID})
}

// releasePatch is untrackPatch for the pod as it is known, and no later state of it.
func releasePatch(pod *v1.Pod) []byte {
	return finalizerPatch(map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion})
}

func finalizerPatch(metadata map[string]any) []byte {
	metadata["$deleteFromPrimitiveList/finalizers"] = []string{batchv1.JobTrackingFinalizer}
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil { // maps of strings always marshal
		panic(err)
	}
	return data
}

// strayPod returns the key of a tracked pod whose Job is unknown; the pod would keep its finalizer for ever.
func (c *Controller) strayPod(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok || !tracked(pod) || c.jobOf(pod) != nil {
		return nil
	}
	return []reconcile.Key{reconcile.KeyOf(pod)}
}

// straysOf returns the tracked pods of a Job that is gone.
func (c *Controller) straysOf(obj any) []reconcile.Key {
	job, ok := obj.(*batchv1.Job)
	if !ok {
		return nil
	}
	var keys []reconcile.Key
	for _, pod := range c.view.Of(job.UID) {
		keys = append(keys, c.strayPod(pod)...)
	}
	return keys
}

func (c *Controller) jobOf(pod *v1.Pod) *batchv1.Job {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || ref.Kind != "Job" {
		return nil
	}
	job, err := c.jobs.Jobs(pod.Namespace).Get(ref.Name)
	if err != nil || job.UID != ref.UID {
		return nil
	}
	return job
}

// freeStray removes the finalizer of a pod that no Job counts, after a look past the cache.
func (c *Controller) freeStray(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, err := c.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if !tracked(pod) || c.jobOf(pod) != nil {
		return reconcile.Result{}, nil
	}
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil && ref.Kind == "Job" {
		job, err := c.client.BatchV1().Jobs(pod.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err == nil && job.UID == ref.UID {
			return reconcile.Result{}, nil // the cache is behind
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return reconcile.Result{}, err
		}
	} else if c.adoptable(pod) {
		return reconcile.Result{}, nil
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, untrackPatch(pod), metav1.PatchOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}

// adoptable tells whether a Job will take the pod over.
func (c *Controller) adoptable(pod *v1.Pod) bool {
	return metav1.GetControllerOfNoCopy(pod) == nil && pod.DeletionTimestamp == nil && len(c.ofPod(pod)) > 0
}
