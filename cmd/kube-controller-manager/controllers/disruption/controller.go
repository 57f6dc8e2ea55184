package disruption

import (
	"context"
	"fmt"
	"sync"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	policyinformers "k8s.io/client-go/informers/policy/v1"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	policylisters "k8s.io/client-go/listers/policy/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/scaletarget"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

// Owners are the kinds whose wanted number of pods is read from the cache; others are asked for their scale.
type Owners struct {
	ReplicaSets  appslisters.ReplicaSetLister
	Deployments  appslisters.DeploymentLister
	StatefulSets appslisters.StatefulSetLister
	Controllers  corelisters.ReplicationControllerLister
	// Informers of these kinds.
	Informers []cache.SharedIndexInformer
	Scales    *scaletarget.Targets
}

// Controller keeps the status of budgets, and takes back the announcement of disruptions that did not happen.
type Controller struct {
	client    kubernetes.Interface
	recorder  record.EventRecorder
	clock     clock.Clock
	loop      *reconcile.Controller
	stale     *reconcile.Controller
	budgets   policylisters.PodDisruptionBudgetLister
	budgetInf cache.SharedIndexInformer
	podList   corelisters.PodLister
	podInf    cache.SharedIndexInformer
	owners    Owners
}

// New makes the controller.
func New(budgets policyinformers.PodDisruptionBudgetInformer, podInformer coreinformers.PodInformer, owners Owners, client kubernetes.Interface, recorder record.EventRecorder, o Options) *Controller {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	c := &Controller{
		client: client, recorder: recorder, clock: o.Clock, budgets: budgets.Lister(), budgetInf: budgets.Informer(),
		podList: podInformer.Lister(), podInf: podInformer.Informer(), owners: owners,
	}
	c.loop = reconcile.New("disruption", c, reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.loop.Watch(c.budgetInf, reconcile.ObjectKey)
	c.loop.Watch(c.podInf, c.ofPod)
	for _, inf := range owners.Informers {
		c.loop.Watch(inf, c.ofOwner)
	}
	c.stale = reconcile.New("stale_pod_disruption", reconcile.Func(c.clearStale), reconcile.Options{Clock: o.Clock})
	c.stale.Watch(c.podInf, func(obj any) []reconcile.Key {
		if pod, ok := obj.(*v1.Pod); ok && announced(pod) != nil {
			return []reconcile.Key{reconcile.KeyOf(pod)}
		}
		return nil
	})
	return c
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { c.loop.Run(ctx) })
	both.Go(func() { c.stale.Run(ctx) })
	both.Wait()
}

func (c *Controller) ofPod(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	return c.selecting(pod.Namespace, pod.Labels)
}

// ofOwner returns the budgets that select pods of a template, so that a changed size reaches them before the pods do.
func (c *Controller) ofOwner(obj any) []reconcile.Key {
	template, namespace := templateOf(obj)
	if template == nil {
		return nil
	}
	return c.selecting(namespace, template.Labels)
}

func (c *Controller) selecting(namespace string, set map[string]string) []reconcile.Key {
	budgets, err := c.budgets.PodDisruptionBudgets(namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, b := range budgets {
		if selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err == nil && selector.Matches(labels.Set(set)) {
			keys = append(keys, reconcile.KeyOf(b))
		}
	}
	return keys
}

// Reconcile computes and writes the status of one budget.
func (c *Controller) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	b, err := c.budgets.PodDisruptionBudgets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	plan, err := c.plan(ctx, b)
	if err != nil {
		if writeErr := c.writeStatus(ctx, b, Failed(b, err)); writeErr != nil {
			return reconcile.Result{}, writeErr
		}
		return reconcile.Result{}, err
	}
	for _, pod := range plan.Lost {
		c.recorder.Eventf(b, v1.EventTypeWarning, "NotDeleted", "Pod was expected by PDB %s/%s to be deleted but it wasn't: %s", b.Namespace, b.Name, pod)
	}
	return reconcile.Result{RequeueAfter: plan.Wake}, c.writeStatus(ctx, b, plan.Status)
}

func (c *Controller) plan(ctx context.Context, b *policyv1.PodDisruptionBudget) (Plan, error) {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return Plan{}, fmt.Errorf("spec.selector: %w", err)
	}
	selected, err := c.podList.Pods(b.Namespace).List(selector)
	if err != nil {
		return Plan{}, err
	}
	if len(selected) == 0 {
		c.recorder.Event(b, v1.EventTypeNormal, "NoPods", "No matching pods found")
	}
	in := Input{Budget: b, Pods: selected, Now: c.clock.Now()}
	if Scaled(b) {
		if in.Expected, err = c.expected(ctx, b, selected); err != nil {
			c.recorder.Eventf(b, v1.EventTypeWarning, "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: %v", err)
			return Plan{}, err
		}
	}
	return Decide(in)
}

// expected adds up the sizes of all controllers of the pods. Pods without a controller have no size to count.
func (c *Controller) expected(ctx context.Context, b *policyv1.PodDisruptionBudget, selected []*v1.Pod) (int, error) {
	sizes := map[types.UID]int32{}
	unmanaged := 0
	for _, pod := range selected {
		ref := metav1.GetControllerOfNoCopy(pod)
		if ref == nil {
			unmanaged++
			continue
		}
		if _, known := sizes[ref.UID]; known {
			continue
		}
		uid, n, err := c.size(ctx, pod.Namespace, ref)
		if err != nil {
			return 0, err
		}
		sizes[ref.UID] = 0 // a ReplicaSet stands for its Deployment, which counts once
		sizes[uid] = n
	}
	if unmanaged > 0 {
		c.recorder.Eventf(b, v1.EventTypeWarning, "UnmanagedPods", "Pods selected by this PodDisruptionBudget (selector: %v) were found to be unmanaged. "+
			"As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "+
			"To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.", metav1.FormatLabelSelector(b.Spec.Selector))
	}
	total := 0
	for _, n := range sizes {
		total += int(n)
	}
	return total, nil
}

// size returns how many pods a controller wants, and the UID under which it is counted.
func (c *Controller) size(ctx context.Context, namespace string, ref *metav1.OwnerReference) (types.UID, int32, error) {
	switch {
	case ref.Kind == "ReplicaSet" && c.owners.ReplicaSets != nil:
		rs, err := c.owners.ReplicaSets.ReplicaSets(namespace).Get(ref.Name)
		if err != nil || rs.UID != ref.UID {
			break
		}
		if up := metav1.GetControllerOfNoCopy(rs); up != nil && up.Kind == "Deployment" {
			if d, err := c.owners.Deployments.Deployments(namespace).Get(up.Name); err == nil && d.UID == up.UID {
				return d.UID, ptr.Deref(d.Spec.Replicas, 1), nil
			}
		}
		return rs.UID, ptr.Deref(rs.Spec.Replicas, 1), nil
	case ref.Kind == "StatefulSet":
		if s, err := c.owners.StatefulSets.StatefulSets(namespace).Get(ref.Name); err == nil && s.UID == ref.UID {
			return s.UID, ptr.Deref(s.Spec.Replicas, 1), nil
		}
	case ref.Kind == "ReplicationController":
		if rc, err := c.owners.Controllers.ReplicationControllers(namespace).Get(ref.Name); err == nil && rc.UID == ref.UID {
			return rc.UID, ptr.Deref(rc.Spec.Replicas, 1), nil
		}
	}
	scale, _, err := c.owners.Scales.Get(ctx, namespace, ref.APIVersion, ref.Kind, ref.Name)
	if apierrors.IsNotFound(err) {
		return ref.UID, 0, fmt.Errorf("%s/%s does not implement the scale subresource: %w", ref.APIVersion, ref.Kind, err)
	}
	if err != nil {
		return ref.UID, 0, err
	}
	return ref.UID, scale.Spec.Replicas, nil
}

// writeStatus writes against the version that was read: the eviction API takes disruptions from the same status, and a lost
// race leads to a conflict and a new computation.
func (c *Controller) writeStatus(ctx context.Context, b *policyv1.PodDisruptionBudget, status policyv1.PodDisruptionBudgetStatus) error {
	if equality.Semantic.DeepEqual(status, b.Status) {
		return nil
	}
	fresh := b.DeepCopy()
	fresh.Status = status
	written, err := c.client.PolicyV1().PodDisruptionBudgets(b.Namespace).UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	c.loop.Wrote(c.budgetInf, reconcile.KeyOf(b), written)
	return nil
}
