// Package ttlafterfinished deletes finished Jobs after spec.ttlSecondsAfterFinished (KEP-592).
package ttlafterfinished

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	batchinformers "k8s.io/client-go/informers/batch/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

// New makes the controller.
func New(jobs batchinformers.JobInformer, client kubernetes.Interface, o Options) *reconcile.Controller {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	lister, informer := jobs.Lister(), jobs.Informer()
	var loop *reconcile.Controller
	loop = reconcile.New("ttl_jobs_to_delete", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		job, err := lister.Jobs(key.Namespace).Get(key.Name)
		if apierrors.IsNotFound(err) {
			return reconcile.Result{}, nil
		}
		if err != nil {
			return reconcile.Result{}, err
		}
		left, expires := Left(job, o.Clock.Now())
		if !expires || left > 0 {
			return reconcile.Result{RequeueAfter: left}, nil
		}
		// The time to live may have been raised a moment ago: ask past the cache before deleting.
		fresh, err := client.BatchV1().Jobs(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return reconcile.Result{}, nil
		}
		if err != nil {
			return reconcile.Result{}, err
		}
		if left, expires = Left(fresh, o.Clock.Now()); !expires || left > 0 {
			return reconcile.Result{RequeueAfter: left}, nil
		}
		foreground := metav1.DeletePropagationForeground
		err = client.BatchV1().Jobs(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{
			PropagationPolicy: &foreground, Preconditions: &metav1.Preconditions{UID: &fresh.UID, ResourceVersion: &fresh.ResourceVersion},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return reconcile.Result{}, err
		}
		loop.Deleted(informer, key, fresh)
		klog.FromContext(ctx).V(2).Info("Finished Job deleted", "job", klog.KObj(fresh), "ttlSeconds", *fresh.Spec.TTLSecondsAfterFinished)
		return reconcile.Result{}, nil
	}), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	loop.Watch(informer, func(obj any) []reconcile.Key {
		if job, ok := obj.(*batchv1.Job); ok && job.Spec.TTLSecondsAfterFinished != nil && job.DeletionTimestamp == nil {
			return []reconcile.Key{reconcile.KeyOf(job)}
		}
		return nil
	})
	return loop
}

// Left is the time a finished Job still has to live; expires is false for a Job that is not finished, is being deleted already,
// or has no limit.
func Left(job *batchv1.Job, now time.Time) (left time.Duration, expires bool) {
	if job.Spec.TTLSecondsAfterFinished == nil || job.DeletionTimestamp != nil {
		return 0, false
	}
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == v1.ConditionTrue {
			end := c.LastTransitionTime.Add(time.Duration(*job.Spec.TTLSecondsAfterFinished) * time.Second)
			return max(0, end.Sub(now)), true
		}
	}
	return 0, false
}
