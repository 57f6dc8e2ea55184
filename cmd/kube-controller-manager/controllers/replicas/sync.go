package replicas

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
	"pilotis.dev/pkg/reconcile"
)

// Set is a ReplicaSet or a ReplicationController, in the words they share.
type Set struct {
	Object          runtime.Object
	Meta            metav1.Object
	Selector        labels.Selector
	Replicas        int32
	MinReadySeconds int32
	Template        *v1.PodTemplateSpec
	Status          appsv1.ReplicaSetStatus
}

// Kind is what the core has to know of one of the two kinds.
type Kind struct {
	APIVersion, Name string
	// HidesTerminating kinds have no status.terminatingReplicas.
	HidesTerminating bool
	Informer         cache.SharedIndexInformer
	// Get and List read the cache; List gives the sets of a namespace.
	Get  func(key reconcile.Key) (*Set, error)
	List func(namespace string) ([]*Set, error)
	// Live reads a set past the cache.
	Live func(ctx context.Context, namespace, name string, o metav1.GetOptions) (metav1.Object, error)
	// WriteStatus updates the status subresource.
	WriteStatus func(ctx context.Context, set *Set, status appsv1.ReplicaSetStatus) (metav1.Object, error)
	// Family returns the UIDs of the sets that belong together with this one, itself included.
	Family func(set *Set) []types.UID
}

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

type core struct {
	kind   Kind
	view   ownership.View[*v1.Pod]
	writer *pods.Writer
	clock  clock.Clock
	loop   *reconcile.Controller
}

// New makes the controller of one kind.
func New(name string, kind Kind, podInformer cache.SharedIndexInformer, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*reconcile.Controller, error) {
	view, err := ownership.NewView[*v1.Pod](podInformer)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	c := &core{kind: kind, view: view, clock: o.Clock}
	c.loop = reconcile.New(name, c, reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.writer = &pods.Writer{Client: client, Informer: podInformer, Recorder: recorder, Loop: c.loop}
	c.loop.Watch(kind.Informer, reconcile.ObjectKey)
	c.loop.Watch(podInformer, c.setsOf)
	return c.loop, nil
}

// setsOf returns the set that owns a pod, or the sets that could adopt it.
func (c *core) setsOf(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		if ref.Kind != c.kind.Name || ref.APIVersion != c.kind.APIVersion {
			return nil
		}
		return []reconcile.Key{{Namespace: pod.Namespace, Name: ref.Name}}
	}
	sets, err := c.kind.List(pod.Namespace)
	if err != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, set := range sets {
		if set.Selector.Matches(labels.Set(pod.Labels)) {
			keys = append(keys, reconcile.KeyOf(set.Meta))
		}
	}
	return keys
}

// Reconcile observes the set and its pods, plans, acts, and writes the status.
func (c *core) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	set, err := c.kind.Get(key)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	owner := pods.Owner{Object: set.Object, Meta: set.Meta, Reference: ownership.Reference(set.Meta, c.kind.APIVersion, c.kind.Name)}
	owned, err := c.claim(ctx, owner, set)
	if err != nil {
		return reconcile.Result{}, err
	}
	active := pods.Select(owned, pods.Active)
	var failure error
	if set.Meta.GetDeletionTimestamp() == nil {
		plan := Decide(int(set.Replicas), active, c.neighbours(set), c.clock.Now())
		failure = c.act(ctx, owner, set, plan)
	}
	status, wake := Status(set.Status, Observation{
		Generation: set.Meta.GetGeneration(), Wanted: int(set.Replicas), MinReadySeconds: set.MinReadySeconds,
		TemplateLabels: set.Template.Labels, Active: active, Terminating: len(pods.Select(owned, pods.Terminating)),
		Failure: failure, Now: c.clock.Now(),
	})
	if c.kind.HidesTerminating {
		status.TerminatingReplicas = nil
	}
	if !equality.Semantic.DeepEqual(status, set.Status) {
		written, err := c.kind.WriteStatus(ctx, set, status)
		if err != nil {
			return reconcile.Result{}, err
		}
		c.loop.Wrote(c.kind.Informer, key, written)
	}
	return reconcile.Result{RequeueAfter: wake}, failure
}

// claim adopts and releases pods, and returns the set's own. Finished pods are neither adopted nor looked at.
func (c *core) claim(ctx context.Context, owner pods.Owner, set *Set) ([]*v1.Pod, error) {
	candidates := pods.Select(c.view.Candidates(set.Meta), func(p *v1.Pod) bool { return !pods.Finished(p) })
	claim := ownership.Plan(set.Meta, ownership.BySelector[*v1.Pod](set.Selector), candidates)
	return c.writer.Claim(ctx, owner, claim, func(ctx context.Context) error {
		return ownership.Live(ctx, set.Meta, c.kind.Name, func(ctx context.Context, name string, o metav1.GetOptions) (metav1.Object, error) {
			return c.kind.Live(ctx, set.Meta.GetNamespace(), name, o)
		})
	})
}

func (c *core) neighbours(set *Set) map[string]int {
	count := map[string]int{}
	for _, uid := range c.kind.Family(set) {
		for _, pod := range c.view.Of(uid) {
			if pods.Active(pod) && pod.Spec.NodeName != "" {
				count[pod.Spec.NodeName]++
			}
		}
	}
	return count
}

func (c *core) act(ctx context.Context, owner pods.Owner, set *Set, plan Plan) error {
	if plan.Create > 0 || len(plan.Delete) > 0 {
		klog.FromContext(ctx).V(2).Info("Number of replicas changes", "object", klog.KObj(set.Meta), "create", plan.Create, "delete", len(plan.Delete))
	}
	_, err := reconcile.SlowStart(ctx, plan.Create, func(ctx context.Context, _ int) error {
		_, err := c.writer.Create(ctx, owner, pods.FromTemplate(set.Template, set.Meta.GetNamespace(), owner.Reference))
		if apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
			return nil // the namespace goes, and the set with it
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = reconcile.Parallel(ctx, len(plan.Delete), func(ctx context.Context, i int) error {
		return c.writer.Delete(ctx, owner, plan.Delete[i])
	})
	return err
}

var _ reconcile.Reconciler = (*core)(nil)
