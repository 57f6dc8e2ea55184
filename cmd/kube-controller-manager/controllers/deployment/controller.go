package deployment

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

type controller struct {
	client      kubernetes.Interface
	recorder    record.EventRecorder
	clock       clock.Clock
	loop        *reconcile.Controller
	deployments appslisters.DeploymentLister
	deployInf   cache.SharedIndexInformer
	sets        appslisters.ReplicaSetLister
	setInf      cache.SharedIndexInformer
	setView     ownership.View[*appsv1.ReplicaSet]
	podView     ownership.View[*v1.Pod]
}

// New makes the controller.
func New(deployments appsinformers.DeploymentInformer, sets appsinformers.ReplicaSetInformer, podInformer coreinformers.PodInformer, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*reconcile.Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	c := &controller{
		client: client, recorder: recorder, clock: o.Clock,
		deployments: deployments.Lister(), deployInf: deployments.Informer(), sets: sets.Lister(), setInf: sets.Informer(),
	}
	var err error
	if c.setView, err = ownership.NewView[*appsv1.ReplicaSet](c.setInf); err != nil {
		return nil, err
	}
	if c.podView, err = ownership.NewView[*v1.Pod](podInformer.Informer()); err != nil {
		return nil, err
	}
	c.loop = reconcile.New("deployment", c, reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.loop.Watch(c.deployInf, reconcile.ObjectKey)
	c.loop.Watch(c.setInf, c.ofSet)
	c.loop.Watch(podInformer.Informer(), c.ofPod)
	return c.loop, nil
}

// ofSet returns the Deployment that controls a ReplicaSet, or those that could adopt it.
func (c *controller) ofSet(obj any) []reconcile.Key {
	rs, ok := obj.(*appsv1.ReplicaSet)
	if !ok {
		return nil
	}
	return ownership.Keys(rs, "apps/v1", "Deployment", c.deployments.Deployments(rs.Namespace).List, func(d *appsv1.Deployment) *metav1.LabelSelector { return d.Spec.Selector })
}

// ofPod matters to the strategy Recreate, which waits for the end of old pods.
func (c *controller) ofPod(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return nil
	}
	rs, err := c.sets.ReplicaSets(pod.Namespace).Get(ref.Name)
	if err != nil {
		return nil
	}
	owner := metav1.GetControllerOfNoCopy(rs)
	if owner == nil || owner.Kind != "Deployment" {
		return nil
	}
	d, err := c.deployments.Deployments(pod.Namespace).Get(owner.Name)
	if err != nil || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		return nil
	}
	return []reconcile.Key{reconcile.KeyOf(d)}
}

// Reconcile observes the Deployment and its ReplicaSets, plans a step and takes it.
func (c *controller) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	d, err := c.deployments.Deployments(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("the Deployment %s: spec.selector: %w", key, err)
	}
	if selector.Empty() {
		c.recorder.Eventf(d, v1.EventTypeWarning, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.")
		return reconcile.Result{}, nil
	}
	sets, err := c.claim(ctx, d, selector)
	if err != nil {
		return reconcile.Result{}, err
	}
	in := Input{Deployment: d, Sets: sets, Now: c.clock.Now()}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		in.Pods = map[types.UID][]*v1.Pod{}
		for _, rs := range sets {
			in.Pods[rs.UID] = c.podView.Of(rs.UID)
		}
	}
	plan := Decide(in)
	if text := plan.String(); text != "" {
		klog.FromContext(ctx).V(2).Info("Deployment takes a step", "deployment", klog.KObj(d), "plan", text)
	}
	return reconcile.Result{RequeueAfter: plan.Wake}, c.act(ctx, d, plan)
}

func (c *controller) claim(ctx context.Context, d *appsv1.Deployment, selector labels.Selector) ([]*appsv1.ReplicaSet, error) {
	claim := ownership.Plan(d, ownership.BySelector[*appsv1.ReplicaSet](selector), c.setView.Candidates(d))
	owned := claim.Owned
	patch := func(rs *appsv1.ReplicaSet, data []byte) (*appsv1.ReplicaSet, error) {
		patched, err := c.client.AppsV1().ReplicaSets(rs.Namespace).Patch(ctx, rs.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		c.loop.Wrote(c.setInf, reconcile.KeyOf(d), patched)
		return patched, nil
	}
	for _, rs := range claim.Release {
		if _, err := patch(rs, ownership.ReleasePatch(d.UID, rs.UID)); err != nil && !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
			return nil, err
		}
	}
	if len(claim.Adopt) > 0 {
		if err := ownership.Live(ctx, d, "Deployment", c.client.AppsV1().Deployments(d.Namespace).Get); err != nil {
			return nil, err
		}
	}
	for _, rs := range claim.Adopt {
		adopted, err := patch(rs, ownership.AdoptPatch(ownership.Reference(d, appsv1.SchemeGroupVersion.String(), "Deployment"), rs.UID))
		if err != nil {
			return nil, err
		}
		if adopted != nil {
			owned = append(owned, adopted)
		}
	}
	return owned, nil
}

// act carries a plan out, in the order of the plan's fields; a failure stops it, and the next plan starts from what was done.
func (c *controller) act(ctx context.Context, d *appsv1.Deployment, plan Plan) error {
	key := reconcile.KeyOf(d)
	if plan.Create != nil {
		if err := c.create(ctx, d, plan); err != nil {
			return err
		}
	}
	for _, u := range plan.Update {
		written, err := c.client.AppsV1().ReplicaSets(d.Namespace).Update(ctx, u.Set, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		c.loop.Wrote(c.setInf, key, written)
		c.scaled(d, u.Set.Name, u.From, u.To)
	}
	for _, rs := range plan.Delete {
		err := c.client.AppsV1().ReplicaSets(d.Namespace).Delete(ctx, rs.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(rs.UID))})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return err
		}
		c.loop.Deleted(c.setInf, key, rs)
	}
	return c.writeStatus(ctx, d, plan.Status, plan.Revision)
}

func (c *controller) scaled(d *appsv1.Deployment, set string, from, to int32) {
	switch {
	case to > from:
		c.recorder.Eventf(d, v1.EventTypeNormal, "ScalingReplicaSet", "Scaled up replica set %s from %d to %d", set, from, to)
	case to < from:
		c.recorder.Eventf(d, v1.EventTypeNormal, "ScalingReplicaSet", "Scaled down replica set %s from %d to %d", set, from, to)
	}
}

// create makes the ReplicaSet of the present template. A set of that name that is not ours, or has another template, is a hash
// collision: the collision count goes up and the next plan has another name.
func (c *controller) create(ctx context.Context, d *appsv1.Deployment, plan Plan) error {
	created, err := c.client.AppsV1().ReplicaSets(d.Namespace).Create(ctx, plan.Create, metav1.CreateOptions{})
	switch {
	case err == nil:
		c.loop.Wrote(c.setInf, reconcile.KeyOf(d), created)
		c.scaled(d, created.Name, 0, ptr.Deref(created.Spec.Replicas, 1))
		return nil
	case apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause):
		return err
	case apierrors.IsAlreadyExists(err):
		there, getErr := c.client.AppsV1().ReplicaSets(d.Namespace).Get(ctx, plan.Create.Name, metav1.GetOptions{})
		if getErr != nil {
			return getErr
		}
		if metav1.IsControlledBy(there, d) && sameTemplate(&there.Spec.Template, &d.Spec.Template) {
			c.loop.Wrote(c.setInf, reconcile.KeyOf(d), there) // ours after all: wait until the cache shows it
			return err
		}
		status := *d.Status.DeepCopy()
		status.CollisionCount = ptr.To(ptr.Deref(status.CollisionCount, 0) + 1)
		klog.FromContext(ctx).Info("Name of a ReplicaSet collides", "deployment", klog.KObj(d), "replicaSet", there.Name, "collisionCount", *status.CollisionCount)
		if statusErr := c.writeStatus(ctx, d, status, ""); statusErr != nil {
			return statusErr
		}
		return err
	}
	message := fmt.Sprintf("Failed to create new replica set %q: %v", plan.Create.Name, err)
	c.recorder.Eventf(d, v1.EventTypeWarning, reasonCreateError, "%s", message)
	if !hasDeadline(d) {
		return err
	}
	status := *d.Status.DeepCopy()
	setCondition(&status, appsv1.DeploymentProgressing, v1.ConditionFalse, reasonCreateError, message, c.clock.Now())
	if statusErr := c.writeStatus(ctx, d, status, ""); statusErr != nil {
		return statusErr
	}
	return err
}

// writeStatus writes the status, and with it the revision annotation, which the status subresource of Deployments accepts.
func (c *controller) writeStatus(ctx context.Context, d *appsv1.Deployment, status appsv1.DeploymentStatus, revision string) error {
	if revision == "" && semanticEqual(status, d.Status) {
		return nil
	}
	fresh := d.DeepCopy()
	fresh.Status = status
	if revision != "" {
		if fresh.Annotations == nil {
			fresh.Annotations = map[string]string{}
		}
		fresh.Annotations[RevisionAnnotation] = revision
	}
	written, err := c.client.AppsV1().Deployments(d.Namespace).UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	c.loop.Wrote(c.deployInf, reconcile.KeyOf(d), written)
	return nil
}
