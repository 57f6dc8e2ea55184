package daemonset

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/history"
	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
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
	sets     appslisters.DaemonSetLister
	setInf   cache.SharedIndexInformer
	nodes    corelisters.NodeLister
	podView  ownership.View[*v1.Pod]
	writer   *pods.Writer
	history  *history.Keeper
	backOff  *flowcontrol.Backoff
}

// New makes the controller.
func New(sets appsinformers.DaemonSetInformer, podInformer coreinformers.PodInformer, nodes coreinformers.NodeInformer,
	revisions appsinformers.ControllerRevisionInformer, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*reconcile.Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	c := &controller{
		client: client, recorder: recorder, clock: o.Clock, sets: sets.Lister(), setInf: sets.Informer(), nodes: nodes.Lister(),
		backOff: flowcontrol.NewBackOff(time.Second, 15*time.Minute),
	}
	c.backOff.Clock = o.Clock
	var err error
	if c.podView, err = ownership.NewView[*v1.Pod](podInformer.Informer()); err != nil {
		return nil, err
	}
	revisionView, err := ownership.NewView[*appsv1.ControllerRevision](revisions.Informer())
	if err != nil {
		return nil, err
	}
	c.loop = reconcile.New("daemonset", c, reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.writer = &pods.Writer{Client: client, Informer: podInformer.Informer(), Recorder: recorder, Loop: c.loop}
	c.history = &history.Keeper{Client: client, Informer: revisions.Informer(), View: revisionView, Loop: c.loop}
	c.loop.Watch(c.setInf, reconcile.ObjectKey)
	c.loop.Watch(podInformer.Informer(), c.ofPod)
	c.loop.Watch(revisions.Informer(), nil)
	c.loop.Watch(nodes.Informer(), nil)
	_, err = nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { c.enqueueAll() },
		UpdateFunc: func(old, obj any) {
			before, ok1 := old.(*v1.Node)
			after, ok2 := obj.(*v1.Node)
			if ok1 && ok2 && differs(before, after) {
				c.enqueueAll()
			}
		},
		DeleteFunc: func(any) { c.enqueueAll() },
	})
	return c.loop, err
}

// differs tells whether a node changed in what the predicates look at. Most updates of nodes are heartbeats.
func differs(a, b *v1.Node) bool {
	return !equality.Semantic.DeepEqual(a.Labels, b.Labels) || !equality.Semantic.DeepEqual(a.Spec.Taints, b.Spec.Taints) || a.Spec.Unschedulable != b.Spec.Unschedulable
}

func (c *controller) enqueueAll() {
	all, err := c.sets.List(labels.Everything())
	if err != nil {
		return
	}
	for _, ds := range all {
		c.loop.Enqueue(reconcile.KeyOf(ds))
	}
}

// ofPod returns the set that controls a pod, or those that could adopt it.
func (c *controller) ofPod(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	return ownership.Keys(pod, "apps/v1", "DaemonSet", c.sets.DaemonSets(pod.Namespace).List, func(ds *appsv1.DaemonSet) *metav1.LabelSelector { return ds.Spec.Selector })
}

// Reconcile observes the set, its pods, revisions and the nodes, plans a step and takes it.
func (c *controller) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	ds, err := c.sets.DaemonSets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("DaemonSet %s: spec.selector: %w", key, err)
	}
	if selector.Empty() {
		c.recorder.Eventf(ds, v1.EventTypeWarning, "SelectingAll", "This daemon set is selecting all pods. A non-empty selector is required.")
		return reconcile.Result{}, nil
	}
	if ds.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	nodes, err := c.nodes.List(labels.Everything())
	if err != nil {
		return reconcile.Result{}, err
	}
	owner := pods.Owner{Object: ds, Meta: ds, Reference: reference(ds)}
	live := func(ctx context.Context) error {
		return ownership.Live(ctx, ds, "DaemonSet", c.client.AppsV1().DaemonSets(ds.Namespace).Get)
	}
	owned, err := c.writer.Claim(ctx, owner, ownership.Plan(ds, ownership.BySelector[*v1.Pod](selector), c.podView.Candidates(ds)), live)
	if err != nil {
		return reconcile.Result{}, err
	}
	keeper := history.Owner{Meta: ds, Reference: owner.Reference, Selector: ds.Spec.Selector, Template: &ds.Spec.Template, HashLabel: appsv1.ControllerRevisionHashLabelKey}
	revisions, err := c.history.List(ctx, keeper, live)
	if err != nil {
		return reconcile.Result{}, err
	}
	current, collisions, err := c.history.Current(ctx, keeper, revisions, ds.Status.CollisionCount)
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := Decide(Input{
		DaemonSet: ds, Nodes: nodes, Pods: owned, Hash: current.Labels[appsv1.ControllerRevisionHashLabelKey], Collisions: collisions,
		BackOff: func(node string) time.Duration { return c.left(ds, node) }, Now: c.clock.Now(),
	})
	if text := plan.String(); text != "" {
		klog.FromContext(ctx).V(2).Info("DaemonSet takes a step", "daemonSet", klog.KObj(ds), "plan", text)
	}
	failure := c.act(ctx, owner, ds, current.Labels[appsv1.ControllerRevisionHashLabelKey], plan)
	if err := c.writeStatus(ctx, ds, plan.Status); err != nil && failure == nil {
		failure = err
	}
	if failure != nil {
		return reconcile.Result{}, failure
	}
	surplus := history.Surplus(revisions, ptr.Deref(ds.Spec.RevisionHistoryLimit, 10), func(r *appsv1.ControllerRevision) bool {
		return r.Name == current.Name || usedBy(owned, r.Labels[appsv1.ControllerRevisionHashLabelKey])
	})
	return reconcile.Result{RequeueAfter: plan.Wake}, c.history.Delete(ctx, keeper, surplus)
}

func usedBy(list []*v1.Pod, hash string) bool {
	for _, pod := range list {
		if pod.Labels[appsv1.ControllerRevisionHashLabelKey] == hash {
			return true
		}
	}
	return false
}

func backOffKey(ds *appsv1.DaemonSet, node string) string { return string(ds.UID) + "/" + node }

func (c *controller) left(ds *appsv1.DaemonSet, node string) time.Duration {
	key := backOffKey(ds, node)
	if !c.backOff.IsInBackOffSinceUpdate(key, c.clock.Now()) {
		return 0
	}
	return c.backOff.Get(key)
}

func (c *controller) act(ctx context.Context, owner pods.Owner, ds *appsv1.DaemonSet, hash string, plan Plan) error {
	for _, pod := range plan.Ended {
		if node := targetOf(pod); pod.Status.Phase == v1.PodFailed {
			c.backOff.Next(backOffKey(ds, node), c.clock.Now())
			c.recorder.Eventf(ds, v1.EventTypeWarning, "FailedDaemonPod", "Found failed daemon pod %s/%s on node %s, will try to kill it", pod.Namespace, pod.Name, node)
		} else {
			c.recorder.Eventf(ds, v1.EventTypeNormal, "SucceededDaemonPod", "Found succeeded daemon pod %s/%s on node %s, will try to delete it", pod.Namespace, pod.Name, node)
		}
	}
	_, createErr := reconcile.SlowStart(ctx, len(plan.Create), func(ctx context.Context, i int) error {
		_, err := c.writer.Create(ctx, owner, newPod(ds, plan.Create[i], hash))
		if apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
			return nil
		}
		return err
	})
	// A quota that refuses new pods may be waiting for these to go.
	_, deleteErr := reconcile.Parallel(ctx, len(plan.Delete), func(ctx context.Context, i int) error { return c.writer.Delete(ctx, owner, plan.Delete[i]) })
	return errors.Join(createErr, deleteErr)
}

func (c *controller) writeStatus(ctx context.Context, ds *appsv1.DaemonSet, status appsv1.DaemonSetStatus) error {
	if equality.Semantic.DeepEqual(status, ds.Status) {
		return nil
	}
	fresh := ds.DeepCopy()
	fresh.Status = status
	written, err := c.client.AppsV1().DaemonSets(ds.Namespace).UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	c.loop.Wrote(c.setInf, reconcile.KeyOf(ds), written)
	return nil
}
