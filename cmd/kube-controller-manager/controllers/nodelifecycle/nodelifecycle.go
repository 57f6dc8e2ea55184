// Package nodelifecycle judges nodes: it marks those that fell silent as unknown, and keeps the taints that stand for
// a node's conditions, so that the scheduler and the eviction of pods follow them.
package nodelifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
	"pilotis.dev/pkg/reconcile"
)

// Config of the controller; the flags of the same names.
type Config struct {
	// MonitorPeriod is the shortest time between two looks at a node for which nothing happened.
	MonitorPeriod      time.Duration
	MonitorGracePeriod time.Duration
	StartupGracePeriod time.Duration
	// EvictionRate and SecondaryRate are nodes a second that get a NoExecute taint in healthy and in unhealthy zones.
	EvictionRate, SecondaryRate float32
	LargeCluster                int32
	UnhealthyShare              float32
	Clock                       clock.WithTicker
	Workers                     int
}

type controller struct {
	Config
	client   kubernetes.Interface
	recorder record.EventRecorder
	nodes    corelisters.NodeLister
	podsOn   func(node string) []*v1.Pod
	beats    *heartbeats
	zones    *zones

	mu    sync.Mutex
	known map[string]known
}

// known is what was last seen of a node, so that a change is told once.
type known struct {
	uid   types.UID
	ready bool
	// told are the pods that were seen to since the node is not ready. What a kubelet that lives says of them then stands.
	told sets.Set[types.UID]
}

// New returns the controller; its keys are nodes. A node is looked at when it changes and when its heartbeats are due;
// one that is not ready every MonitorPeriod, since what becomes of it depends on the other nodes of its zone.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, config Config) *reconcile.Controller {
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	nodes, leases, podInformer := f.Core().V1().Nodes(), f.Coordination().V1().Leases(), f.Core().V1().Pods().Informer()
	c := &controller{
		Config: config, client: client, recorder: recorder, nodes: nodes.Lister(), podsOn: pods.ByNode(podInformer), known: map[string]known{},
		beats: &heartbeats{clock: config.Clock, leases: leases.Lister().Leases(v1.NamespaceNodeLease), last: map[string]heartbeat{}},
	}
	c.zones = &zones{config: config, nodes: nodes.Lister(), beats: c.beats, buckets: map[string]*bucket{}}
	r := reconcile.New("node_lifecycle_controller", reconcile.Func(c.reconcile), reconcile.Options{Workers: max(1, config.Workers), Clock: config.Clock, MaxDelay: config.MonitorPeriod})
	r.Watch(nodes.Informer(), reconcile.ObjectKey)
	r.Watch(leases.Informer(), func(obj any) []reconcile.Key {
		if l, ok := obj.(*coordinationv1.Lease); ok && l.Namespace == v1.NamespaceNodeLease {
			if n, err := c.nodes.Get(l.Name); err == nil {
				c.beats.silence(n) // notes the heartbeat; the look that is due anyway finds it
			}
		}
		return nil
	})
	r.Watch(podInformer, nil)
	return r
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	n, err := c.nodes.Get(key.Name)
	if err != nil {
		c.removed(key.Name)
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	c.registered(n)
	grace := c.MonitorGracePeriod
	if conditionOf(n, v1.NodeReady) == nil {
		grace = c.StartupGracePeriod
	}
	due := grace - c.beats.silence(n)
	if due <= 0 {
		due = grace
		if changed, ok := unknown(n, c.Clock.Now()); ok {
			if n, err = c.client.CoreV1().Nodes().UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
				return reconcile.Result{}, err
			}
		}
	}
	if !isReady(n) {
		due = c.MonitorPeriod
	}
	return reconcile.Result{RequeueAfter: max(due, c.MonitorPeriod)}, errors.Join(c.tell(ctx, n), c.mend(ctx, n))
}

// registered and removed tell that a node came or went.
func (c *controller) registered(n *v1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, there := c.known[n.Name]
	if there && before.uid == n.UID {
		return
	}
	c.known[n.Name] = known{uid: n.UID, ready: isReady(n)}
	c.recorder.Eventf(reference(n.Name, n.UID), v1.EventTypeNormal, "RegisteredNode", "Node %s event: Registered Node %s in Controller", n.Name, n.Name)
}

func (c *controller) removed(name string) {
	c.beats.forget(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, there := c.known[name]; there {
		delete(c.known, name)
		c.recorder.Eventf(reference(name, before.uid), v1.EventTypeNormal, "RemovingNode", "Node %s event: Removing Node %s from Controller", name, name)
	}
}

// reference names a node that may be gone in events.
func reference(name string, uid types.UID) *v1.ObjectReference {
	return &v1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: name, UID: uid}
}

// tell makes known that a node is not ready any more: with an event, and by taking its pods out of their Services.
func (c *controller) tell(ctx context.Context, n *v1.Node) error {
	now := known{uid: n.UID, ready: isReady(n)}
	before := c.swap(n.Name, now)
	if now.ready || conditionOf(n, v1.NodeReady) == nil {
		return nil
	}
	if before.ready {
		c.recorder.Eventf(reference(n.Name, n.UID), v1.EventTypeNormal, "NodeNotReady", "Node %s status is now: NodeNotReady", n.Name)
	}
	var err error
	now.told, err = c.unready(ctx, n, before.told)
	c.swap(n.Name, now)
	return err
}

func (c *controller) swap(name string, now known) (before known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.known[name]
	c.known[name] = now
	return before
}

// unready sets the Ready condition of the node's pods to False, except of those that were told before. It returns which are told now.
func (c *controller) unready(ctx context.Context, n *v1.Node, before sets.Set[types.UID]) (sets.Set[types.UID], error) {
	told := sets.New[types.UID]()
	var errs []error
	for _, p := range c.podsOn(n.Name) {
		if !before.Has(p.UID) {
			if err := c.unreadyPod(ctx, p); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		told.Insert(p.UID)
	}
	return told, errors.Join(errs...)
}

func (c *controller) unreadyPod(ctx context.Context, p *v1.Pod) error {
	update := p.DeepCopy()
	ready := pods.Condition(update, v1.PodReady)
	if ready == nil || ready.Status != v1.ConditionTrue {
		return nil
	}
	ready.Status, ready.Reason, ready.LastTransitionTime = v1.ConditionFalse, "NodeNotReady", metav1.NewTime(c.Clock.Now())
	if _, err := c.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, update, metav1.UpdateOptions{}); err != nil {
		return reconcile.IgnoreNotFound(err)
	}
	c.recorder.Eventf(p, v1.EventTypeWarning, "NodeNotReady", "Node is not ready")
	return nil
}

// mend writes the labels and taints that the node should have.
func (c *controller) mend(ctx context.Context, n *v1.Node) error {
	labels := Labels(n)
	taints := Taints(n, c.zones.eviction(n), c.Clock.Now())
	metadata := map[string]any{"resourceVersion": n.ResourceVersion}
	patch := map[string]any{"metadata": metadata}
	if len(labels) > 0 {
		metadata["labels"] = labels
	}
	if !slices.EqualFunc(taints, n.Spec.Taints, sameTaint) {
		patch["spec"] = map[string]any{"taints": taints}
	} else if len(labels) == 0 {
		return nil
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, data, metav1.PatchOptions{})
	return reconcile.IgnoreNotFound(err)
}

// formerLabels are names that labels of the kubelet had before, which programs may still select by (well-known labels,
// API reference).
var formerLabels = map[string]string{v1.LabelOSStable: "beta.kubernetes.io/os", v1.LabelArchStable: "beta.kubernetes.io/arch"}

// Labels are those that the node lacks: the former names of labels that it has.
func Labels(n *v1.Node) map[string]string {
	missing := map[string]string{}
	for name, former := range formerLabels {
		if value, has := n.Labels[name]; has && n.Labels[former] != value {
			missing[former] = value
		}
	}
	return missing
}

func conditionOf(n *v1.Node, kind v1.NodeConditionType) *v1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

func isReady(n *v1.Node) bool {
	ready := conditionOf(n, v1.NodeReady)
	return ready != nil && ready.Status == v1.ConditionTrue
}
