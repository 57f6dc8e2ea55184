package statefulset

import (
	"context"
	"fmt"

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
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

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
	sets     appslisters.StatefulSetLister
	setInf   cache.SharedIndexInformer
	podInf   cache.SharedIndexInformer
	podView  ownership.View[*v1.Pod]
	claims   corelisters.PersistentVolumeClaimLister
	claimInf cache.SharedIndexInformer
	writer   *pods.Writer
	history  *history.Keeper
}

// New makes the controller.
func New(sets appsinformers.StatefulSetInformer, podInformer coreinformers.PodInformer, claims coreinformers.PersistentVolumeClaimInformer,
	revisions appsinformers.ControllerRevisionInformer, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*reconcile.Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	c := &controller{
		client: client, recorder: recorder, clock: o.Clock, sets: sets.Lister(), setInf: sets.Informer(), podInf: podInformer.Informer(),
		claims: claims.Lister(), claimInf: claims.Informer(),
	}
	var err error
	if c.podView, err = ownership.NewView[*v1.Pod](c.podInf); err != nil {
		return nil, err
	}
	revisionView, err := ownership.NewView[*appsv1.ControllerRevision](revisions.Informer())
	if err != nil {
		return nil, err
	}
	c.loop = reconcile.New("statefulset", c, reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.writer = &pods.Writer{Client: client, Informer: c.podInf, Recorder: recorder, Loop: c.loop}
	c.history = &history.Keeper{Client: client, Informer: revisions.Informer(), View: revisionView, Loop: c.loop}
	c.loop.Watch(c.setInf, reconcile.ObjectKey)
	c.loop.Watch(c.podInf, c.ofPod)
	c.loop.Watch(revisions.Informer(), nil)
	c.loop.Watch(c.claimInf, nil)
	return c.loop, nil
}

// ofPod returns the set that controls a pod, or those that could adopt it.
func (c *controller) ofPod(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		if ref.Kind != "StatefulSet" {
			return nil
		}
		return []reconcile.Key{{Namespace: pod.Namespace, Name: ref.Name}}
	}
	name, ordinal := ordinalOf(pod)
	if ordinal < 0 {
		return nil
	}
	set, err := c.sets.StatefulSets(pod.Namespace).Get(name)
	if err != nil {
		return nil
	}
	if selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector); err != nil || selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
		return nil
	}
	return []reconcile.Key{reconcile.KeyOf(set)}
}

// Reconcile observes the set, its pods, claims and revisions, plans a step and takes it.
func (c *controller) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	set, err := c.sets.StatefulSets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("StatefulSet %s: spec.selector: %w", key, err)
	}
	owner := pods.Owner{Object: set, Meta: set, Reference: reference(set)}
	live := func(ctx context.Context) error {
		return ownership.Live(ctx, set, "StatefulSet", c.client.AppsV1().StatefulSets(set.Namespace).Get)
	}
	claim := ownership.Plan(set, func(pod *v1.Pod) bool {
		return memberOf(set, pod) && !selector.Empty() && selector.Matches(labels.Set(pod.Labels))
	}, c.podView.Candidates(set))
	owned, err := c.writer.Claim(ctx, owner, claim, live)
	if err != nil {
		return reconcile.Result{}, err
	}
	if set.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	keeper := history.Owner{Meta: set, Reference: owner.Reference, Selector: set.Spec.Selector, Template: &set.Spec.Template, HashLabel: history.DefaultHashLabel}
	revisions, err := c.history.List(ctx, keeper, live)
	if err != nil {
		return reconcile.Result{}, err
	}
	update, collisions, err := c.history.Current(ctx, keeper, revisions, set.Status.CollisionCount)
	if err != nil {
		return reconcile.Result{}, err
	}
	in := Input{Set: set, Update: Revision{update.Name, &set.Spec.Template}, Collisions: collisions, Pods: owned, Claim: c.claim(set.Namespace), Now: c.clock.Now()}
	in.Current = in.Update
	for _, r := range revisions {
		if r.Name == set.Status.CurrentRevision && r.Name != update.Name {
			template, err := history.Template(r)
			if err != nil {
				return reconcile.Result{}, err
			}
			in.Current = Revision{r.Name, template}
		}
	}
	plan := Decide(in)
	if text := plan.String(); text != "" {
		klog.FromContext(ctx).V(2).Info("StatefulSet takes a step", "statefulSet", klog.KObj(set), "plan", text)
	}
	failure := c.act(ctx, owner, set, plan)
	if err := c.writeStatus(ctx, set, plan.Status); err != nil && failure == nil {
		failure = err
	}
	if failure != nil {
		return reconcile.Result{}, failure
	}
	surplus := history.Surplus(revisions, limitOf(set), func(r *appsv1.ControllerRevision) bool {
		return r.Name == in.Current.Name || r.Name == in.Update.Name || r.Name == plan.Status.CurrentRevision || usedBy(owned, r.Name)
	})
	return reconcile.Result{RequeueAfter: plan.Wake}, c.history.Delete(ctx, keeper, surplus)
}

func limitOf(set *appsv1.StatefulSet) int32 {
	if set.Spec.RevisionHistoryLimit == nil {
		return 10
	}
	return *set.Spec.RevisionHistoryLimit
}

func usedBy(list []*v1.Pod, revision string) bool {
	for _, pod := range list {
		if revisionOf(pod) == revision {
			return true
		}
	}
	return false
}

func (c *controller) claim(namespace string) func(string) *v1.PersistentVolumeClaim {
	return func(name string) *v1.PersistentVolumeClaim {
		claim, err := c.claims.PersistentVolumeClaims(namespace).Get(name)
		if err != nil {
			return nil
		}
		return claim
	}
}

// act carries the plan out; claims come before the pods that use them.
func (c *controller) act(ctx context.Context, owner pods.Owner, set *appsv1.StatefulSet, plan Plan) error {
	key := reconcile.KeyOf(set)
	for _, claim := range plan.Claims {
		if err := c.createClaim(ctx, set, claim); err != nil {
			return err
		}
	}
	for _, o := range plan.Owners {
		fresh := o.Claim.DeepCopy()
		fresh.OwnerReferences = o.Owners
		written, err := c.client.CoreV1().PersistentVolumeClaims(set.Namespace).Update(ctx, fresh, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		c.loop.Wrote(c.claimInf, key, written)
	}
	for _, pod := range plan.Label {
		written, err := c.client.CoreV1().Pods(set.Namespace).Update(ctx, pod, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		c.loop.Wrote(c.podInf, key, written)
	}
	_, err := reconcile.SlowStart(ctx, len(plan.Create), func(ctx context.Context, i int) error { return c.createPod(ctx, set, plan.Create[i]) })
	if err != nil {
		return err
	}
	_, err = reconcile.Parallel(ctx, len(plan.Delete), func(ctx context.Context, i int) error { return c.deletePod(ctx, set, plan.Delete[i]) })
	if err != nil {
		return err
	}
	if plan.Blocked != nil {
		return fmt.Errorf("%w: %w", reconcile.ErrRoutine, plan.Blocked)
	}
	return nil
}

func (c *controller) createClaim(ctx context.Context, set *appsv1.StatefulSet, claim NewClaim) error {
	created, err := c.client.CoreV1().PersistentVolumeClaims(set.Namespace).Create(ctx, claim.PersistentVolumeClaim, metav1.CreateOptions{})
	if err != nil {
		c.event(set, err, "FailedCreate", "create Claim %s for Pod %s in StatefulSet %s failed error: %s", claim.Name, claim.Pod, set.Name, err)
		return err
	}
	c.loop.Wrote(c.claimInf, reconcile.KeyOf(set), created)
	c.recorder.Eventf(set, v1.EventTypeNormal, "SuccessfulCreate", "create Claim %s Pod %s in StatefulSet %s success", claim.Name, claim.Pod, set.Name)
	return nil
}

func (c *controller) createPod(ctx context.Context, set *appsv1.StatefulSet, pod *v1.Pod) error {
	created, err := c.client.CoreV1().Pods(set.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		c.event(set, err, "FailedCreate", "create Pod %s in StatefulSet %s failed error: %v", pod.Name, set.Name, err)
		return err
	}
	c.loop.Wrote(c.podInf, reconcile.KeyOf(set), created)
	c.recorder.Eventf(set, v1.EventTypeNormal, "SuccessfulCreate", "create Pod %s in StatefulSet %s successful", pod.Name, set.Name)
	return nil
}

func (c *controller) deletePod(ctx context.Context, set *appsv1.StatefulSet, pod *v1.Pod) error {
	err := c.client.CoreV1().Pods(set.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		c.event(set, err, "FailedDelete", "delete Pod %s in StatefulSet %s failed error: %v", pod.Name, set.Name, err)
		return err
	}
	c.loop.Deleted(c.podInf, reconcile.KeyOf(set), pod)
	if err != nil { // gone, or replaced by another pod of this name
		return nil
	}
	c.recorder.Eventf(set, v1.EventTypeNormal, "SuccessfulDelete", "delete Pod %s in StatefulSet %s successful", pod.Name, set.Name)
	return nil
}

// event warns of a failed write; a namespace in termination refuses writes as a matter of course.
func (c *controller) event(set *appsv1.StatefulSet, err error, reason, format string, args ...any) {
	if !apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
		c.recorder.Eventf(set, v1.EventTypeWarning, reason, format, args...)
	}
}

func (c *controller) writeStatus(ctx context.Context, set *appsv1.StatefulSet, status appsv1.StatefulSetStatus) error {
	if equality.Semantic.DeepEqual(status, set.Status) {
		return nil
	}
	fresh := set.DeepCopy()
	fresh.Status = status
	written, err := c.client.AppsV1().StatefulSets(set.Namespace).UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	c.loop.Wrote(c.setInf, reconcile.KeyOf(set), written)
	return nil
}
