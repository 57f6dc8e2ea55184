package job

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	batchinformers "k8s.io/client-go/informers/batch/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

// Controller runs Jobs, and frees pods whose Job is gone from the finalizer that nobody would remove any more.
type Controller struct {
	client   kubernetes.Interface
	recorder record.EventRecorder
	clock    clock.Clock
	loop     *reconcile.Controller
	strays   *reconcile.Controller
	jobs     batchlisters.JobLister
	jobInf   cache.SharedIndexInformer
	pods     corelisters.PodLister
	view     ownership.View[*v1.Pod]
	writer   *pods.Writer
}

// New makes the controller.
func New(jobs batchinformers.JobInformer, podInformer coreinformers.PodInformer, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	view, err := ownership.NewView[*v1.Pod](podInformer.Informer())
	if err != nil {
		return nil, err
	}
	c := &Controller{
		client: client, recorder: recorder, clock: o.Clock, jobs: jobs.Lister(), jobInf: jobs.Informer(), pods: podInformer.Lister(), view: view,
	}
	c.loop = reconcile.New("job", c, reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.strays = reconcile.New("job_orphan_pod", reconcile.Func(c.freeStray), reconcile.Options{Clock: o.Clock})
	c.writer = &pods.Writer{Client: client, Informer: podInformer.Informer(), Recorder: recorder, Loop: c.loop}
	c.loop.Watch(c.jobInf, reconcile.ObjectKey)
	c.loop.Watch(podInformer.Informer(), c.ofPod)
	c.strays.Watch(podInformer.Informer(), c.strayPod)
	c.strays.Watch(c.jobInf, c.straysOf)
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { c.loop.Run(ctx) })
	both.Go(func() { c.strays.Run(ctx) })
	both.Wait()
}

// ofPod returns the Job that controls a pod, or those that could adopt it.
func (c *Controller) ofPod(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	return ownership.Keys(pod, "batch/v1", "Job", c.jobs.Jobs(pod.Namespace).List, func(job *batchv1.Job) *metav1.LabelSelector { return job.Spec.Selector })
}

// Reconcile observes the Job and its pods, plans a step and takes it.
func (c *Controller) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	job, err := c.jobs.Jobs(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if by := job.Spec.ManagedBy; by != nil && *by != batchv1.JobControllerName {
		klog.FromContext(ctx).V(2).Info("Job is managed by another controller", "job", klog.KObj(job), "managedBy", *by)
		return reconcile.Result{}, nil
	}
	if Finished(job) {
		return reconcile.Result{}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(job.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("the Job %s: spec.selector: %w", key, err)
	}
	owner := pods.Owner{Object: job, Meta: job, Reference: reference(job)}
	owned, err := c.writer.Claim(ctx, owner, ownership.Plan(job, ownership.BySelector[*v1.Pod](selector), c.view.Candidates(job)), func(ctx context.Context) error {
		return ownership.Live(ctx, job, "Job", c.client.BatchV1().Jobs(job.Namespace).Get)
	}, batchv1.JobTrackingFinalizer)
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := Decide(Input{Job: job, Pods: owned, Now: c.clock.Now()})
	if text := plan.String(); text != "" {
		klog.FromContext(ctx).V(2).Info("Job takes a step", "job", klog.KObj(job), "plan", text)
	}
	return reconcile.Result{RequeueAfter: plan.Wake}, c.act(ctx, owner, job, plan)
}

// act changes pods, writes the status with what was achieved, and only then removes finalizers of pods that the status has.
func (c *Controller) act(ctx context.Context, owner pods.Owner, job *batchv1.Job, plan Plan) error {
	status := plan.Status
	dropped, dropErr := reconcile.Parallel(ctx, len(plan.Drop), func(ctx context.Context, i int) error {
		if err := c.release(ctx, owner, plan.Drop[i]); err != nil {
			return err
		}
		return c.writer.Delete(ctx, owner, plan.Drop[i])
	})
	killed, killErr := reconcile.Parallel(ctx, len(plan.Kill), func(ctx context.Context, i int) error { return c.writer.Delete(ctx, owner, plan.Kill[i]) })
	var refused atomic.Int32
	created, createErr := reconcile.SlowStart(ctx, len(plan.Create), func(ctx context.Context, i int) error {
		_, err := c.writer.Create(ctx, owner, newPod(job, plan.Create[i]))
		if apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
			refused.Add(1)
			return nil
		}
		return err
	})
	left := int32(len(plan.Drop) - dropped + len(plan.Kill) - killed)
	status.Active += left - int32(len(plan.Create)-created) - refused.Load()
	if status.Terminating != nil {
		*status.Terminating -= left
	}
	failure := errors.Join(dropErr, killErr, createErr)
	if !equality.Semantic.DeepEqual(status, job.Status) {
		fresh := job.DeepCopy()
		fresh.Status = status
		written, err := c.client.BatchV1().Jobs(job.Namespace).UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
		if err != nil {
			return errors.Join(failure, err)
		}
		c.loop.Wrote(c.jobInf, reconcile.KeyOf(job), written)
	}
	for _, e := range plan.Events {
		c.recorder.Event(job, e.Type, e.Reason, e.Message)
	}
	_, untrackErr := reconcile.Parallel(ctx, len(plan.Untrack), func(ctx context.Context, i int) error { return c.untrack(ctx, owner, plan.Untrack[i]) })
	return errors.Join(failure, untrackErr)
}

// release removes the tracking finalizer of a pod that is dropped, if the pod still is as the cache shows it: one that has ended
// meanwhile is to be counted, and the conflict has the Job looked at again.
func (c *Controller) release(ctx context.Context, owner pods.Owner, pod *v1.Pod) error {
	if !tracked(pod) {
		return nil
	}
	_, err := c.writer.Patch(ctx, owner, pod, releasePatch(pod))
	return err
}

// untrack removes the tracking finalizer.
func (c *Controller) untrack(ctx context.Context, owner pods.Owner, pod *v1.Pod) error {
	if !tracked(pod) {
		return nil
	}
	_, err := c.writer.Patch(ctx, owner, pod, untrackPatch(pod))
	if apierrors.IsInvalid(err) || apierrors.IsConflict(err) { // another pod has this name by now
		return nil
	}
	return err
}
