package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Nodes stand in for the scheduler and the kubelets: pods are bound to ready nodes, run, end, and go when they are deleted. A node
// that is lost runs on what it runs, and neither hears nor says anything.
type Nodes struct {
	// Fails tells that a pod's containers, which were to end well, fail; nil: never.
	Fails func(pod *v1.Pod) bool
	// Heartbeats: the nodes renew their leases and the condition Ready.
	Heartbeats bool

	// Every is how often the kubelets do something; each second if 0.
	Every time.Duration
	// Tick, if set, is called each second, for what else there is in the world.
	Tick func(c *Case)

	// Lost nodes have no connection.
	Lost map[string]bool

	c     *Case
	dice  *rand.Rand
	since map[string]time.Time // when a pod is to take its next step, by UID and step
	// running are the pods whose containers run, by node and name.
	running map[string]map[string]string
}

func (n *Nodes) Run(ctx context.Context) {
	n.since, n.running = map[string]time.Time{}, map[string]map[string]string{}
	ticker := time.NewTicker(max(n.Every, time.Second))
	defer ticker.Stop()
	beat := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if n.Heartbeats && !time.Now().Before(beat) {
			beat = time.Now().Add(20 * time.Second)
			n.renew()
		}
		var pods []*v1.Pod
		var nodes []*v1.Node
		n.c.Server.Locked(func() { pods, nodes = all[v1.Pod](n.c), all[v1.Node](n.c) })
		for _, pod := range pods {
			n.step(pod, nodes)
		}
		n.settle(pods)
		if n.Tick != nil {
			n.Tick(n.c)
		}
	}
}

// due tells that a step of a pod is at its time, which is drawn when it is first asked for.
func (n *Nodes) due(pod *v1.Pod, step string, atMost int) bool {
	key := string(pod.UID) + step
	if _, ok := n.since[key]; !ok {
		n.since[key] = time.Now().Add(time.Duration(n.dice.IntN(atMost*1000)) * time.Millisecond)
	}
	return !time.Now().Before(n.since[key])
}

func (n *Nodes) step(pod *v1.Pod, nodes []*v1.Node) {
	switch {
	case pod.Spec.NodeName == "":
		if pod.DeletionTimestamp == nil && n.due(pod, "bind", 2) {
			n.bind(pod, nodes)
		}
	case n.Lost[pod.Spec.NodeName] || !slices.ContainsFunc(nodes, func(o *v1.Node) bool { return o.Name == pod.Spec.NodeName }):
	case pod.DeletionTimestamp != nil:
		if n.due(pod, "stop", 4) {
			n.stop(pod)
		}
	case pod.Status.Phase == v1.PodPending:
		if n.due(pod, "start", 3) {
			n.start(pod)
		}
	case pod.Status.Phase == v1.PodRunning && pod.Spec.RestartPolicy != v1.RestartPolicyAlways && pod.Spec.RestartPolicy != "":
		if n.due(pod, "end", 15) {
			n.exit(pod)
		}
	case pod.Status.Phase == v1.PodRunning && !podReady(pod):
		n.report(pod)
	}
}

// bind binds a pod to a node that it may run on.
func (n *Nodes) bind(pod *v1.Pod, nodes []*v1.Node) {
	var fit []string
	for _, node := range nodes {
		if !n.Lost[node.Name] && node.DeletionTimestamp == nil && !slices.ContainsFunc(node.Spec.Taints, func(t v1.Taint) bool { return t.Effect != v1.TaintEffectPreferNoSchedule }) && wants(pod, node.Name) {
			fit = append(fit, node.Name)
		}
	}
	if len(fit) == 0 {
		return
	}
	name := fit[n.dice.IntN(len(fit))]
	edit[v1.Pod](n.c, "scheduler", pod.Namespace, pod.Name, func(p *v1.Pod) {
		if p.UID == pod.UID && p.DeletionTimestamp == nil {
			p.Spec.NodeName = name
		}
	})
}

// wants tells that a pod's affinity to a node's name, if it has one, names this node.
func wants(pod *v1.Pod, node string) bool {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil || pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return true
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if !slices.Contains(f.Values, node) {
				return false
			}
		}
	}
	return true
}

func (n *Nodes) start(pod *v1.Pod) {
	n.ran(pod, true)
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	edit[v1.Pod](n.c, "kubelet", pod.Namespace, pod.Name, func(p *v1.Pod) {
		if p.UID != pod.UID {
			return
		}
		p.Status.Phase = v1.PodRunning
		p.Status.StartTime = &now
		p.Status.PodIP = address(string(p.UID))
		p.Status.PodIPs = []v1.PodIP{{IP: p.Status.PodIP}}
		p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: now}}
	})
}

// report says again that a pod is ready, as a kubelet does that finds another status in the API than its own: when a node seems to
// be lost, its pods are said not to be ready, and only the kubelet takes that back.
func (n *Nodes) report(pod *v1.Pod) {
	edit[v1.Pod](n.c, "kubelet", pod.Namespace, pod.Name, func(p *v1.Pod) {
		if p.UID != pod.UID {
			return
		}
		for i := range p.Status.Conditions {
			if cond := &p.Status.Conditions[i]; cond.Type == v1.PodReady && cond.Status != v1.ConditionTrue {
				cond.Status, cond.LastTransitionTime = v1.ConditionTrue, metav1.NewTime(time.Now().Truncate(time.Second))
			}
		}
	})
}

// address is one for each UID.
func address(uid string) string {
	number := 0
	_, _ = fmt.Sscanf(uid[strings.LastIndex(uid, "-")+1:], "%d", &number)
	return fmt.Sprintf("10.1.%d.%d", number/250, 1+number%250)
}

func (n *Nodes) exit(pod *v1.Pod) {
	n.ran(pod, false)
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	code, phase := int32(0), v1.PodSucceeded
	if n.Fails != nil && n.Fails(pod) {
		code, phase = 1, v1.PodFailed
	}
	edit[v1.Pod](n.c, "kubelet", pod.Namespace, pod.Name, func(p *v1.Pod) {
		if p.UID != pod.UID {
			return
		}
		p.Status.Phase = phase
		p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionFalse, LastTransitionTime: now}}
		p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "c", State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: code, FinishedAt: now}}}}
	})
}

// stop ends a pod that is being deleted, and tells the server that its containers are gone.
func (n *Nodes) stop(pod *v1.Pod) {
	n.ran(pod, false)
	edit[v1.Pod](n.c, "kubelet", pod.Namespace, pod.Name, func(p *v1.Pod) {
		if p.UID == pod.UID && p.Status.Phase != v1.PodSucceeded && p.Status.Phase != v1.PodFailed {
			p.Status.Phase = v1.PodFailed
			p.Status.Conditions = nil
		}
	})
	_, _ = n.c.Server.Delete("kubelet", resourceOf[v1.Pod](n.c.Server), pod.Namespace, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
}

// ran notes what runs where. That a pod of one name runs on two nodes must never be, whatever the API says.
func (n *Nodes) ran(pod *v1.Pod, runs bool) {
	name := pod.Namespace + "/" + pod.Name
	if !runs {
		if n.running[name][pod.Spec.NodeName] == string(pod.UID) {
			delete(n.running[name], pod.Spec.NodeName)
		}
		return
	}
	if n.running[name] == nil {
		n.running[name] = map[string]string{}
	}
	for node, uid := range n.running[name] {
		if uid != string(pod.UID) {
			n.c.Wrong("two pods %s run, on %s and on %s", name, node, pod.Spec.NodeName)
		}
	}
	n.running[name][pod.Spec.NodeName] = string(pod.UID)
}

// settle lets kubelets with a connection end what the server has no pod for any more.
func (n *Nodes) settle(pods []*v1.Pod) {
	live := map[string]bool{}
	for _, pod := range pods {
		live[string(pod.UID)] = true
	}
	for _, on := range n.running {
		for node, uid := range on {
			if !live[uid] && !n.Lost[node] {
				delete(on, node)
			}
		}
	}
}

// renew is the heartbeat of all nodes that have a connection.
func (n *Nodes) renew() {
	var nodes []*v1.Node
	n.c.Server.Locked(func() { nodes = all[v1.Node](n.c) })
	for _, node := range nodes {
		if n.Lost[node.Name] {
			continue
		}
		now := metav1.NowMicro()
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-node-lease", Name: node.Name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To(node.Name), LeaseDurationSeconds: ptr.To[int32](40), RenewTime: &now}}
		if _, err := n.c.Server.Create("setup", toObject(lease)); err != nil {
			edit[coordinationv1.Lease](n.c, "kubelet", lease.Namespace, lease.Name, func(l *coordinationv1.Lease) { l.Spec.RenewTime = &now })
		}
		if !ready(node) {
			edit[v1.Node](n.c, "kubelet", "", node.Name, func(o *v1.Node) { setReady(o, v1.ConditionTrue) })
		}
	}
}

func ready(node *v1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c v1.NodeCondition) bool { return c.Type == v1.NodeReady && c.Status == v1.ConditionTrue })
}

func setReady(node *v1.Node, status v1.ConditionStatus) {
	node.Status.Conditions = slices.DeleteFunc(node.Status.Conditions, func(c v1.NodeCondition) bool { return c.Type == v1.NodeReady })
	now := metav1.Now()
	node.Status.Conditions = append(node.Status.Conditions, v1.NodeCondition{Type: v1.NodeReady, Status: status, LastHeartbeatTime: now, LastTransitionTime: now, Reason: "Kubelet"})
}

// makeNodes makes ready nodes n1 … nN.
func (c *Case) makeNodes(count int) {
	for i := range count {
		node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i+1)}}
		setReady(node, v1.ConditionTrue)
		c.Make(node)
	}
}
