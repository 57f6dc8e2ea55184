package cronjob

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	batchinformers "k8s.io/client-go/informers/batch/v1"
	"k8s.io/client-go/kubernetes"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

type controller struct {
	client   kubernetes.Interface
	recorder record.EventRecorder
	clock    clock.Clock
	loop     *reconcile.Controller
	crons    batchlisters.CronJobLister
	cronInf  cache.SharedIndexInformer
	jobInf   cache.SharedIndexInformer
	view     ownership.View[*batchv1.Job]
}

// New makes the controller.
func New(crons batchinformers.CronJobInformer, jobs batchinformers.JobInformer, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*reconcile.Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	view, err := ownership.NewView[*batchv1.Job](jobs.Informer())
	if err != nil {
		return nil, err
	}
	c := &controller{
		client: client, recorder: recorder, clock: o.Clock, crons: crons.Lister(), cronInf: crons.Informer(), jobInf: jobs.Informer(), view: view,
	}
	c.loop = reconcile.New("cronjob", c, reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.loop.Watch(c.cronInf, reconcile.ObjectKey)
	c.loop.Watch(c.jobInf, func(obj any) []reconcile.Key {
		job, ok := obj.(*batchv1.Job)
		if !ok {
			return nil
		}
		ref := metav1.GetControllerOfNoCopy(job)
		if ref == nil || ref.Kind != "CronJob" {
			return nil
		}
		return []reconcile.Key{{Namespace: job.Namespace, Name: ref.Name}}
	})
	return c.loop, nil
}

// Reconcile observes the CronJob and its Jobs, plans a step and takes it.
func (c *controller) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	cj, err := c.crons.CronJobs(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := Decide(Input{CronJob: cj, Jobs: c.view.Of(cj.UID), Now: c.clock.Now()})
	if text := plan.String(); text != "" {
		klog.FromContext(ctx).V(2).Info("CronJob takes a step", "cronJob", klog.KObj(cj), "plan", text)
	}
	return reconcile.Result{RequeueAfter: plan.Wake}, c.act(ctx, cj, plan)
}

func (c *controller) act(ctx context.Context, cj *batchv1.CronJob, plan Plan) error {
	for _, e := range plan.Events {
		c.recorder.Event(cj, e.Type, e.Reason, e.Message)
	}
	for _, job := range plan.Delete {
		background := metav1.DeletePropagationBackground
		err := c.client.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
			PropagationPolicy: &background, Preconditions: metav1.NewUIDPreconditions(string(job.UID)),
		})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			c.recorder.Eventf(cj, v1.EventTypeWarning, "FailedDelete", "Deleted job: %v", err)
			return err
		}
		c.loop.Deleted(c.jobInf, reconcile.KeyOf(cj), job)
		c.recorder.Eventf(cj, v1.EventTypeNormal, "SuccessfulDelete", "Deleted job %v", job.Name)
	}
	status := plan.Status
	if plan.Create != nil {
		created, err := c.create(ctx, cj, plan.Create)
		if err != nil {
			return err
		}
		status.Active = append(status.Active, refTo(created))
	}
	if equality.Semantic.DeepEqual(status, cj.Status) {
		return nil
	}
	fresh := cj.DeepCopy()
	fresh.Status = status
	written, err := c.client.BatchV1().CronJobs(cj.Namespace).UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	c.loop.Wrote(c.cronInf, reconcile.KeyOf(cj), written)
	return nil
}

// create starts a Job. One of that name that is ours was started before, and counts as created.
func (c *controller) create(ctx context.Context, cj *batchv1.CronJob, job *batchv1.Job) (*batchv1.Job, error) {
	created, err := c.client.BatchV1().Jobs(job.Namespace).Create(ctx, job, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		there, getErr := c.client.BatchV1().Jobs(job.Namespace).Get(ctx, job.Name, metav1.GetOptions{})
		if getErr == nil && metav1.IsControlledBy(there, cj) {
			c.loop.Wrote(c.jobInf, reconcile.KeyOf(cj), there)
			return there, nil
		}
	}
	if err != nil {
		if !apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
			c.recorder.Eventf(cj, v1.EventTypeWarning, "FailedCreate", "Error creating job: %v", err)
		}
		return nil, err
	}
	c.loop.Wrote(c.jobInf, reconcile.KeyOf(cj), created)
	c.recorder.Eventf(cj, v1.EventTypeNormal, "SuccessfulCreate", "Created job %v", created.Name)
	return created, nil
}
