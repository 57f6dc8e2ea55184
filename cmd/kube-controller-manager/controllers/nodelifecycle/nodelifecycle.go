// Package nodelifecycle judges nodes: it marks those that fell silent as unknown, and keeps the taints that stand for
// a node's conditions, so that the scheduler and the eviction of pods follow them.
package nodelifecycle

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

// Config of the controller; the flags of the same names.
type Config struct {
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

// heartbeat is when something was last heard of a node, by this controller's clock: clocks of nodes may differ.
type heartbeat struct {
	lease  *metav1.MicroTime
	status *metav1.Time
	seen   time.Time
}

type controller struct {
	Config
	client   kubernetes.Interface
	recorder record.EventRecorder
	get      func(name string) (*v1.Node, error)
	list     func() ([]*v1.Node, error)
	lease    func(name string) *coordinationv1.Lease
	pods     func(node string) []*v1.Pod

	mu    sync.Mutex
	beats map[string]heartbeat
	rate  zones
}

// New returns the controller.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, config Config) *reconcile.Controller {
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	nodes, leases, pods := f.Core().V1().Nodes(), f.Coordination().V1().Leases(), f.Core().V1().Pods()
	c := &controller{Config: config, client: client, recorder: recorder, beats: map[string]heartbeat{}, rate: zones{tokens: map[string]*bucket{}}}
	c.get = nodes.Lister().Get
	c.list = func() ([]*v1.Node, error) { return nodes.Lister().List(labels.Everything()) }
	c.lease = func(name string) *coordinationv1.Lease {
		l, err := leases.Lister().Leases(v1.NamespaceNodeLease).Get(name)
		if err != nil {
			return nil
		}
		return l
	}
	c.pods = func(node string) []*v1.Pod {
		all, err := pods.Lister().List(labels.Everything())
		if err != nil {
			return nil
		}
		return slices.DeleteFunc(slices.Clone(all), func(p *v1.Pod) bool { return p.Spec.NodeName != node })
	}
	r := reconcile.New("node_lifecycle_controller", reconcile.Func(c.reconcile), reconcile.Options{Workers: max(1, config.Workers)})
	r.Watch(nodes.Informer(), func(obj any) []reconcile.Key {
		if n, ok := obj.(*v1.Node); ok {
			return []reconcile.Key{{Name: n.Name}}
		}
		return nil
	})
	r.Watch(leases.Informer(), func(obj any) []reconcile.Key {
		if l, ok := obj.(*coordinationv1.Lease); ok && l.Namespace == v1.NamespaceNodeLease {
			c.heard(l.Name)
		}
		return nil // the next look at the node finds it
	})
	r.Watch(pods.Informer(), nil)
	return r
}

// heard notes a heartbeat as soon as it comes.
func (c *controller) heard(name string) {
	if n, err := c.get(name); err == nil {
		c.silence(n)
	}
}

// silence is how long nothing was heard of the node.
func (c *controller) silence(n *v1.Node) time.Duration {
	now := c.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	b, known := c.beats[n.Name]
	var renewed *metav1.MicroTime
	if l := c.lease(n.Name); l != nil {
		renewed = l.Spec.RenewTime
	}
	var status *metav1.Time
	if ready := conditionOf(n, v1.NodeReady); ready != nil {
		status = &ready.LastHeartbeatTime
	}
	if !known || !renewed.Equal(b.lease) || !status.Equal(b.status) {
		b = heartbeat{lease: renewed, status: status, seen: now}
		c.beats[n.Name] = b
	}
	return now.Sub(b.seen)
}

func conditionOf(n *v1.Node, kind v1.NodeConditionType) *v1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	n, err := c.get(key.Name)
	if err != nil {
		c.mu.Lock()
		delete(c.beats, key.Name)
		c.mu.Unlock()
		return reconcile.Result{}, nil
	}
	again := reconcile.Result{RequeueAfter: c.MonitorPeriod}
	silent := c.silence(n)
	grace := c.MonitorGracePeriod
	if conditionOf(n, v1.NodeReady) == nil {
		grace = c.StartupGracePeriod
	}
	if silent >= grace {
		if changed, ok := unknown(n, c.Clock.Now()); ok {
			if _, err := c.client.CoreV1().Nodes().UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
				return again, err
			}
			c.recorder.Eventf(n, v1.EventTypeNormal, "NodeNotReady", "Node %s status is now: NodeNotReady", n.Name)
			n = changed
		}
	}
	if err := c.unready(ctx, n); err != nil {
		return again, err
	}
	want := Taints(n, c.mayEvict(n))
	if slices.EqualFunc(want, n.Spec.Taints, sameTaint) {
		return again, nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": n.ResourceVersion}, "spec": map[string]any{"taints": want}})
	if err != nil {
		return again, err
	}
	_, err = c.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return again, err
}

// unknown is the node with every condition that its kubelet keeps set to Unknown.
func unknown(n *v1.Node, now time.Time) (*v1.Node, bool) {
	changed := n.DeepCopy()
	modified := false
	for _, kind := range []v1.NodeConditionType{v1.NodeReady, v1.NodeMemoryPressure, v1.NodeDiskPressure, v1.NodePIDPressure} {
		c := conditionOf(changed, kind)
		if c == nil {
			changed.Status.Conditions = append(changed.Status.Conditions, v1.NodeCondition{Type: kind, Status: v1.ConditionUnknown, Reason: "NodeStatusNeverUpdated",
				Message: "Kubelet never posted node status.", LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: metav1.NewTime(now)})
			modified = true
		} else if c.Status != v1.ConditionUnknown {
			c.Status, c.Reason, c.Message, c.LastTransitionTime = v1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.", metav1.NewTime(now)
			modified = true
		}
	}
	return changed, modified
}

// unready takes the pods of a node that is not ready out of their Services: their Ready condition becomes False.
func (c *controller) unready(ctx context.Context, n *v1.Node) error {
	ready := conditionOf(n, v1.NodeReady)
	if ready == nil || ready.Status == v1.ConditionTrue {
		return nil
	}
	for _, p := range c.pods(n.Name) {
		i := slices.IndexFunc(p.Status.Conditions, func(c v1.PodCondition) bool { return c.Type == v1.PodReady })
		if i < 0 || p.Status.Conditions[i].Status != v1.ConditionTrue {
			continue
		}
		update := p.DeepCopy()
		update.Status.Conditions[i].Status, update.Status.Conditions[i].Reason = v1.ConditionFalse, "NodeNotReady"
		update.Status.Conditions[i].LastTransitionTime = metav1.NewTime(c.Clock.Now())
		if _, err := c.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, update, metav1.UpdateOptions{}); err != nil {
			return err
		}
		c.recorder.Eventf(p, v1.EventTypeWarning, "NodeNotReady", "Node is not ready")
	}
	return nil
}

func sameTaint(a, b v1.Taint) bool {
	return a.Key == b.Key && a.Value == b.Value && a.Effect == b.Effect
}

// managed are the taints that follow from conditions; the others are users'.
var managed = map[string]bool{
	v1.TaintNodeNotReady: true, v1.TaintNodeUnreachable: true, v1.TaintNodeMemoryPressure: true, v1.TaintNodeDiskPressure: true,
	v1.TaintNodePIDPressure: true, v1.TaintNodeNetworkUnavailable: true, v1.TaintNodeUnschedulable: true,
}

// Taints are those that the node should have: users' as they are, and those of its conditions. evict lets a NoExecute
// taint come; one that is there stays.
func Taints(n *v1.Node, evict bool) []v1.Taint {
	var want []v1.Taint
	for _, t := range n.Spec.Taints {
		if !managed[t.Key] {
			want = append(want, t)
		}
	}
	now := metav1.Now()
	add := func(key string, effect v1.TaintEffect) {
		t := v1.Taint{Key: key, Effect: effect}
		i := slices.IndexFunc(n.Spec.Taints, func(have v1.Taint) bool { return have.Key == key && have.Effect == effect })
		switch {
		case i >= 0:
			t = n.Spec.Taints[i]
		case effect == v1.TaintEffectNoExecute && !evict:
			return
		default:
			t.TimeAdded = &now
		}
		want = append(want, t)
	}
	if n.Spec.Unschedulable {
		add(v1.TaintNodeUnschedulable, v1.TaintEffectNoSchedule)
	}
	status := func(kind v1.NodeConditionType) v1.ConditionStatus {
		if c := conditionOf(n, kind); c != nil {
			return c.Status
		}
		return ""
	}
	switch status(v1.NodeReady) {
	case v1.ConditionFalse, "":
		add(v1.TaintNodeNotReady, v1.TaintEffectNoSchedule)
		if status(v1.NodeReady) == v1.ConditionFalse {
			add(v1.TaintNodeNotReady, v1.TaintEffectNoExecute)
		}
	case v1.ConditionUnknown:
		add(v1.TaintNodeUnreachable, v1.TaintEffectNoSchedule)
		add(v1.TaintNodeUnreachable, v1.TaintEffectNoExecute)
	}
	for _, pressure := range []struct {
		kind v1.NodeConditionType
		key  string
	}{{v1.NodeMemoryPressure, v1.TaintNodeMemoryPressure}, {v1.NodeDiskPressure, v1.TaintNodeDiskPressure}, {v1.NodePIDPressure, v1.TaintNodePIDPressure}, {v1.NodeNetworkUnavailable, v1.TaintNodeNetworkUnavailable}} {
		if status(pressure.kind) == v1.ConditionTrue {
			add(pressure.key, v1.TaintEffectNoSchedule)
		}
	}
	return want
}
